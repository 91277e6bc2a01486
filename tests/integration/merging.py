"""A merge in a process of its own, to be killed: says when it begins, and at its end its peak (KiB)."""

import json
import sys
from pathlib import Path

from microlens.comment_lists import CommentList
from microlens.ledger_rows import Part
from tests.integration.test_pairs import Comments


def main():
    folder = Path(sys.argv[1])
    told = json.loads((folder / "told.json").read_text())
    parts = [Part(*part) for part in told["parts"]]
    lists = [CommentList(*one) for one in told["lists"]]
    comments = Comments(folder, {part.path: part for part in parts}, lists, bucket_rows=told["bucket_rows"])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    comments.go_on()
    sys.stdout.write(f"{peak_kib()}\n")


def peak_kib():
    """Of this process alone: `ru_maxrss` begins with what its parent had."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()

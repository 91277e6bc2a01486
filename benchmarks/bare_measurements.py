"""`python -m benchmarks.bare_measurements KIND FOLDER`: what a node measures of a file, over all files of a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from download_nodes.measure import measure

if TYPE_CHECKING:
    from microlens.records import AssetKind


def measure_all(kind: AssetKind, folder: Path) -> int:
    """How many of them decode."""
    records = [
        measure(path, kind=kind, platform="bench", video_id=path.name, sha256="", size_bytes=path.stat().st_size)
        for path in sorted(folder.iterdir())
    ]
    return sum(bool(record.is_decodable) for record in records)


if __name__ == "__main__":
    given: AssetKind = "cover" if sys.argv[1] == "cover" else "video"
    sys.stdout.write(json.dumps([measure_all(given, Path(sys.argv[2]))]) + "\n")

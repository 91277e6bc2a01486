"""`make bench`, or `python -m benchmarks NAME --items N`."""

from __future__ import annotations

import argparse
import sys

from benchmarks import (
    backlog,
    comments,
    covers,
    frontier,
    growth,
    latency,
    merge,
    near,
    pages,
    ranking,
    scale,
    start,
    train,
    training,
    videos,
)

SUITE = {
    "frontier": (frontier.run, 200_000),
    "growth": (growth.run, 1_000_000),
    "pages": (pages.run, 5_000),
    "comments": (comments.run, 40_000),
    "covers": (covers.run, 2_000),
    "videos": (videos.run, 60),
    "latency": (latency.run, 50_000),
    "start": (start.run, 5),
    "backlog": (backlog.run, 40_000),
    "merge": (merge.run, 5_000_000),
    "scale": (scale.run, 10_000_000),
    "near": (near.run, 5_000_000),
    "ranking": (ranking.run, 50_000),
    "train": (train.run, 1_000_000),
    "training": (training.run, 50),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SUITE, []], help="which ones; all if none is named")
    parser.add_argument("--items", type=int, help="size of the job, instead of its default")
    arguments = parser.parse_args()
    for name in arguments.names or SUITE:
        run, usual = SUITE[name]
        sys.stdout.write(f"[{name}]\n")
        for line in run(arguments.items or usual):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()  # some lines take an hour


if __name__ == "__main__":
    main()

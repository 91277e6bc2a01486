"""What a node's start costs where most is fetched already: looks at the ledger and at the store, in time and memory."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.made_runs import bench_run, finish_videos
from benchmarks.measure import high_water_mb
from download_nodes.backlog import lost_files, outstanding
from microlens.platforms import platform_of
from microlens.runs import open_run
from microlens.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microlens.store import WritableStore

_GROWTH = 5


def run(items: int) -> Iterator[str]:
    """Look through so many finished videos, and five times as many, each in a process of its own."""
    yield "a look at the ledger, and one at what the store has lost; every video but one is finished, three files each"
    for videos in (items, _GROWTH * items):
        with tempfile.TemporaryDirectory() as name:
            folder = bench_run(Path(name), ["http://127.0.0.1:1"]).folder
            with closing(open_run(folder, Settings(runs_dir=Path(name))).ledger) as ledger:
                hashes = Path(name) / "hashes"
                hashes.write_text("".join(f"{sha256}\n" for sha256 in sorted(finish_videos(ledger, videos))))
            with multiprocessing.get_context("spawn").Pool(1) as process:
                looked_s, listed_s, megabytes = process.apply(_look, (folder, hashes))
        yield (
            f"  {videos:9,} videos: ledger {looked_s:5.2f} s, store's list {listed_s:5.2f} s, "
            f"{megabytes:.0f} MB more than the idle process"
        )


class _Listed:
    """A store that has everything, listed in a file: no disk is asked."""

    def __init__(self, hashes: Path) -> None:
        self._hashes = hashes

    def objects(self, after: str = "") -> Iterator[tuple[str, int]]:
        with self._hashes.open() as lines:
            for line in lines:
                if line.rstrip() > after:
                    yield line.rstrip(), 1000

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return dict.fromkeys(hashes, 1000)


def _look(folder: Path, hashes: Path) -> tuple[float, float, float]:
    """Seconds of both looks, and megabytes by which the process has grown."""
    opened = replace(open_run(folder, Settings(runs_dir=folder.parent)), store=cast("WritableStore", _Listed(hashes)))
    idle = high_water_mb()
    began = time.perf_counter()
    left = sum(1 for _ in outstanding(opened, platform_of(opened.recipe)))
    looked = time.perf_counter()
    lost = sum(map(len, lost_files(opened)))
    listed = time.perf_counter()
    opened.ledger.close()
    if (left, lost) != (1, 0):
        raise AssertionError(f"{left} items are outstanding and {lost} are lost, where one and none are")
    return looked - began, listed - looked, high_water_mb() - idle

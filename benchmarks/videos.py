"""Videos of 1 to 10 MB: bytes a CPU-second of a node, against a bare loop; and its memory with one of 1 GB.

The node keeps all that it keeps (frontier, ledger, store) and measures nothing, as the loop. Start-up is what a node of
one file takes and a loop of one file: it is taken off, for a node that fetches videos runs for days.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bare_loop import WIDTH
from benchmarks.made_runs import make_run
from benchmarks.measure import Cost, cost_of_command
from benchmarks.static_server import serving
from microlens.embedded import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_MB = 1_000_000
_SIZES = tuple(size * _MB for size in (1, 2, 3, 5, 7, 10))
_ROUNDS = 3
_LOOP_SHARE = 0.8
_LARGE = 1 << 30
_MORE_MB = 20.0


def run(items: int) -> Iterator[str]:
    """Measure with so many videos."""
    # A byte more each: no two are the same file.
    sizes = [size + number for number, size in zip(range(items), itertools.cycle(_SIZES), strict=False)]
    with tempfile.TemporaryDirectory() as name, serving(Path(name), Path(name) / "site.pem") as site:
        folder, address = Path(name), site.addresses["http"]
        urls = [f"{address}/made/{size}/{number}.mp4" for number, size in enumerate(sizes)]
        few = [f"{address}/made/{_MB}/few.mp4"]
        rounds = [
            (_node(folder, urls, "fetch"), _node(folder, few, "fetch"), _loop(folder, urls), _loop(folder, few))
            for _ in range(_ROUNDS)
        ]
        small, large = (_node(folder, [f"{address}/made/{size}/one.mp4"], "all") for size in (_MB, _LARGE))
    ours, start, loop, loop_start = (min(cost.cpu_s for cost in costs) for costs in zip(*rounds, strict=True))
    megabytes = (sum(sizes) - _MB) / _MB
    yield f"{items:,} videos of 1 to 10 MB, {sum(sizes) / _MB:,.0f} MB; cheapest of {_ROUNDS} rounds"
    node_rate, loop_rate = megabytes / (ours - start), megabytes / (loop - loop_start)
    yield f"  ours   {node_rate:8,.0f} MB/CPU-s  (hash and size alone; {start:.2f} CPU-s of start-up taken off)"
    yield f"  floor  {loop_rate:8,.0f} MB/CPU-s  (aiohttp, {WIDTH} at once; {loop_start:.2f} CPU-s taken off)"
    yield f"  ratio  {node_rate / loop_rate:8.2f}  (goal {_LOOP_SHARE:g}); start-up included {loop / ours:.2f}"
    yield "peak memory of a node and the process that measures, with one file"
    yield f"  of 1 MB {small.peak_mb:6.1f} MB, of 1 GB {large.peak_mb:6.1f} MB ({large.wall_s:.1f} s)"
    yield f"  more   {large.peak_mb - small.peak_mb:8.1f} MB  (goal at most {_MORE_MB:g})"


def _node(folder: Path, urls: list[str], mode: str) -> Cost:
    with redis_server(None) as redis_url:
        run = make_run(folder / "runs", redis_url, urls, kind="video")
        cost = cost_of_command([sys.executable, "-m", "benchmarks.node_process", mode, str(run.folder), redis_url])
    fetched = len(run.ledger.assets())
    run.ledger.close()
    shutil.rmtree(folder / "runs")
    if fetched != len(urls):
        raise RuntimeError(f"the node brought {fetched} of {len(urls)} videos: its time says nothing")
    return cost


def _loop(folder: Path, urls: list[str]) -> Cost:
    listed, into = folder / "urls.txt", folder / "loop"
    listed.write_text("\n".join(urls))
    cost = cost_of_command([sys.executable, "-m", "benchmarks.bare_loop", str(listed), str(into)])
    shutil.rmtree(into)
    return cost

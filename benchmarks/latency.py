"""Many small files: whether the last ones take a node longer than the first.

An item's latency is the time from its claim to its ack, as the node's own process sees it: its turn, the fetch, the
measurement, store, ledger and frontier. What the server takes is in it, and the same for all.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.made_runs import make_run
from benchmarks.measure import cost_of
from benchmarks.media_files import make_small
from benchmarks.node_process import drain
from benchmarks.static_server import serving
from microlens.embedded import redis_server
from microlens.frontier import Claim, Frontier
from microlens.runs import open_run
from microlens.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PARTS = 5
_GOAL = 1.2


def run(items: int) -> Iterator[str]:
    """Measure with so many files, told by fifths."""
    with tempfile.TemporaryDirectory() as name, redis_server(None) as redis_url:
        files = Path(name) / "files"
        files.mkdir()
        names = make_small(files, items)
        size = sum(path.stat().st_size for path in files.iterdir()) / items
        with serving(files, Path(name) / "site.pem") as site:
            opened = make_run(Path(name), redis_url, [f"{site.addresses['http']}/{one}" for one in names])
            cost = cost_of(_latencies, str(opened.folder), redis_url)
        opened.ledger.close()
    seconds: list[float] = cost.value
    part = len(seconds) // _PARTS
    yield f"{len(seconds):,} files of {size / 1000:.1f} KB in {cost.wall_s:.0f} s; claim to ack, by fifths"
    fifths = [seconds[number * part : (number + 1) * part] for number in range(_PARTS)]
    told = [statistics.quantiles(fifth, n=100) for fifth in fifths]
    for number, quantiles in enumerate(told):
        median_ms, p99_ms = 1e3 * quantiles[49], 1e3 * quantiles[98]
        yield f"  from {number * part:7,}  median {median_ms:7.1f} ms   p99 {p99_ms:7.1f} ms"
    first, last = told[0], told[-1]
    median, p99 = last[49] / first[49], last[98] / first[98]
    yield f"  last by first: median {median:.2f}   p99 {p99:.2f}  (goal at most {_GOAL:g})"


def _latencies(folder: str, redis_url: str) -> list[float]:
    """Seconds from claim to ack, in the order of the acks."""
    claimed: dict[str, float] = {}
    seconds: list[float] = []
    claim, ack = Frontier.claim, Frontier.ack

    def noted_claim(frontier: Frontier, *arguments: Any, **named: Any) -> Claim:
        given = claim(frontier, *arguments, **named)
        claimed.update(dict.fromkeys((item.name for item in given.items), time.perf_counter()))
        return given

    def noted_ack(frontier: Frontier, kind: Any, names: Sequence[str]) -> None:
        ack(frontier, kind, names)
        now = time.perf_counter()
        seconds.extend(now - claimed[name] for name in names)

    with patch.object(Frontier, "claim", noted_claim), patch.object(Frontier, "ack", noted_ack):
        drain(open_run(Path(folder), Settings()), redis_url)
    return seconds

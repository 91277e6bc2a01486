"""Whether the frontier's cost grows with the crawl: claim and ack at 10,000 and at many known URLs, in turn.

Told in CPU time, the server's and ours: on a shared machine the clock on the wall measures the neighbours.
"""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.frontier import bytes_each
from microlens.embedded import redis_server
from microlens.frontier import Frontier
from microlens.recipe import Politeness
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterator

_SMALL = 10_000
_HOSTS = 500
_PAIRS = 5
_MEASURED = 5_000
"""Items claimed and acked a measurement; as many new ones are pushed after it, unmeasured."""
_BATCH = 100


def run(items: int) -> Iterator[str]:
    """Fill two frontiers of one Redis, measure them in interleaved pairs; `items` is the size of the larger."""
    with redis_server(None) as url:
        sides = [_Side(url, _SMALL), _Side(url, items)]
        for side in sides:
            side.measure()  # the first has caches to fill
        pairs = [[side.measure() for side in sides] for _ in range(_PAIRS)]
        seen = bytes_each(redis.Redis.from_url(url), f"mlb:{{known-{items}}}:seen:*", sides[1].known)
    small, large = (statistics.median(times) for times in zip(*pairs, strict=True))
    yield f"claim and ack at {_SMALL:,} and at {items:,} known URLs of {_HOSTS} hosts, batches of {_BATCH}; CPU time"
    for number, pair in enumerate(pairs, 1):
        yield f"  pair {number}  {pair[0]:8.2f} us an item   {pair[1]:8.2f} us"
    yield f"  median  {small:8.2f} us an item   {large:8.2f} us   ratio {large / small:.2f}"
    yield f"  {seen:.1f} bytes a seen URL at {items:,}"


class _Side:
    """One frontier that knows so many URLs."""

    def __init__(self, url: str, known: int) -> None:
        # Two places a host, as recipes have by default: a claim of a hundred goes over fifty hosts.
        polite = Politeness(requests_per_second=10_000, concurrency=2)
        self._client = redis.Redis.from_url(url)
        self._frontier = Frontier(self._client, f"known-{known}", polite)
        self._items = _items()
        self.known = 0
        for host in range(_HOSTS):
            self._frontier.set_robots(f"http://h{host}", status=404, body="", lifetime_s=86_400, delay_s=0)
        self._push(known)

    def _push(self, count: int) -> None:
        self.known += self._frontier.push(itertools.islice(self._items, count))

    def measure(self) -> float:
        """Microseconds of CPU of one claim and ack, an item."""
        began, done = self._cpu_s(), 0
        while done < _MEASURED:
            claimed = self._frontier.claim("media", _BATCH).items
            self._frontier.ack("media", [item.name for item in claimed])
            done += len(claimed)
        seconds = self._cpu_s() - began
        self._push(done)
        return 1e6 * seconds / done

    def _cpu_s(self) -> float:
        server: dict[str, Any] = self._client.info("cpu")
        return float(server["used_cpu_user"]) + float(server["used_cpu_sys"]) + time.process_time()


def _items() -> Iterator[FrontierItem]:
    for n in itertools.count():
        told = {"video_id": f"v{n}", "asset": "cover"}
        yield FrontierItem("media", f"v{n}/cover", f"http://h{n % _HOSTS}/media/v{n}.jpg", told)

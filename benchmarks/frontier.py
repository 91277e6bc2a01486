"""The frontier: pushes and claims a second, and Redis's memory a URL, against a plain list and a plain set."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import redis

from benchmarks.measure import cost_of
from microlens.embedded import redis_server
from microlens.frontier import Frontier
from microlens.recipe import Politeness
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOSTS = 50
_BATCH = 100
_SIZES_AT_ONCE = 1000


def run(items: int) -> Iterator[str]:
    with redis_server(None) as url:
        ours_s, ours_bytes = cost_of(_ours, url, items).value
        floor_s, floor_bytes = cost_of(_floor, url, items).value
    yield f"push, claim and ack of {items:,} items over {_HOSTS} hosts, batches of {_BATCH}"
    yield f"  ours   {items / ours_s:10,.0f} items/s   {ours_bytes:6.1f} bytes a seen URL"
    yield f"  floor  {items / floor_s:10,.0f} items/s   {floor_bytes:6.1f} bytes (LPUSH, RPOP, a set of hex SHA-1)"
    yield f"  ratio  {floor_s / ours_s:10.2f}            {ours_bytes / floor_bytes:6.2f}"


def bytes_each(client: redis.Redis, pattern: str, items: int) -> float:
    """Memory of all keys of a pattern, as MEMORY USAGE tells it, by item."""
    keys = list(client.scan_iter(match=pattern, count=_SIZES_AT_ONCE))
    total = 0
    for start in range(0, len(keys), _SIZES_AT_ONCE):
        pipe = client.pipeline(transaction=False)
        for key in keys[start : start + _SIZES_AT_ONCE]:
            pipe.memory_usage(key, samples=0)
        sizes: list[Any] = pipe.execute()
        total += sum(int(size) for size in sizes)
    return total / items


def _ours(url: str, items: int) -> tuple[float, float]:
    frontier = Frontier.connect(url, "bench", Politeness(requests_per_second=10_000, concurrency=256))
    for host in range(_HOSTS):
        frontier.set_robots(f"http://h{host}", status=404, body="", lifetime_s=600, delay_s=0)
    began = time.perf_counter()
    frontier.push(
        FrontierItem("media", f"v{n}/cover", f"http://h{n % _HOSTS}/v{n}.jpg", {"video_id": f"v{n}", "asset": "cover"})
        for n in range(items)
    )
    done = 0
    while done < items:
        claimed = frontier.claim("media", _BATCH).items
        frontier.ack("media", [item.name for item in claimed])
        done += len(claimed)
    seconds = time.perf_counter() - began
    return seconds, bytes_each(redis.Redis.from_url(url), "mlb:{bench}:seen:*", items)


def _floor(url: str, items: int) -> tuple[float, float]:
    client = redis.Redis.from_url(url)
    began = time.perf_counter()
    for start in range(0, items, _BATCH):
        urls = [f"http://h{n % _HOSTS}/v{n}.jpg" for n in range(start, min(start + _BATCH, items))]
        pipe = client.pipeline(transaction=False)
        pipe.sadd("floor:seen", *(hashlib.sha1(u.encode(), usedforsecurity=False).hexdigest() for u in urls))
        pipe.lpush("floor:queue", *urls)
        pipe.execute()
    while client.rpop("floor:queue", _BATCH):
        pass
    seconds = time.perf_counter() - began
    return seconds, bytes_each(client, "floor:seen", items)

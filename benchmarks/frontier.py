"""The frontier: pushes and claims a second, and Redis's memory a URL, against a plain list and a plain set."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

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


def run(items: int) -> Iterator[str]:
    with redis_server(None) as url:
        ours = cost_of(_ours, url, items)
        floor = cost_of(_floor, url, items)
    yield f"push, claim and ack of {items:,} items over {_HOSTS} hosts, batches of {_BATCH}"
    yield f"  ours   {items / ours.wall_s:10,.0f} items/s   {ours.value:6.1f} bytes a seen URL"
    yield f"  floor  {items / floor.wall_s:10,.0f} items/s   {floor.value:6.1f} bytes (LPUSH, RPOP, a set of hex SHA-1)"
    yield f"  ratio  {floor.wall_s / ours.wall_s:10.2f}            {ours.value / floor.value:6.2f}"


def _ours(url: str, items: int) -> float:
    frontier = Frontier.connect(url, "bench", Politeness(requests_per_second=10_000, concurrency=256))
    for host in range(_HOSTS):
        frontier.set_robots(f"http://h{host}", status=404, body="", lifetime_s=600, delay_s=0)
    frontier.push(
        FrontierItem("media", f"v{n}/cover", f"http://h{n % _HOSTS}/v{n}.jpg", {"video_id": f"v{n}", "asset": "cover"})
        for n in range(items)
    )
    done = 0
    while done < items:
        claimed = frontier.claim("media", _BATCH).items
        frontier.ack("media", [item.name for item in claimed])
        done += len(claimed)
    return _bytes_each(url, "mlb:{bench}:seen:*", items)


def _floor(url: str, items: int) -> float:
    client = redis.Redis.from_url(url)
    for start in range(0, items, _BATCH):
        urls = [f"http://h{n % _HOSTS}/v{n}.jpg" for n in range(start, min(start + _BATCH, items))]
        pipe = client.pipeline(transaction=False)
        pipe.sadd("floor:seen", *(hashlib.sha1(u.encode(), usedforsecurity=False).hexdigest() for u in urls))
        pipe.lpush("floor:queue", *urls)
        pipe.execute()
    while client.rpop("floor:queue", _BATCH):
        pass
    return _bytes_each(url, "floor:seen", items)


def _bytes_each(url: str, pattern: str, items: int) -> float:
    client = redis.Redis.from_url(url)
    keys = client.scan_iter(match=pattern, count=1000)
    sizes: list[Any] = [cast("Any", client.memory_usage(key, samples=0)) for key in keys]
    return sum(int(size) for size in sizes) / items

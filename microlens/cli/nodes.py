"""What `status` tells of the nodes at work: their heartbeats, for as long as there is a Redis that has them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import redis

from microlens.clock import now_ms
from microlens.embedded import check_redis, running_server
from microlens.errors import RedisUnreachableError
from microlens.frontier import Frontier
from microlens.heartbeats import Heartbeat, heard, is_living

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microlens.runs import Run
    from microlens.settings import Settings

_NO_REDIS = "none on this machine: no embedded Redis of this run is up, and MICROLENS_REDIS_URL names no other"


def nodes_status(run: Run, settings: Settings) -> dict[str, Any]:
    """`nodes`: what each process said last, how long ago, and whether it seems to live; or `nodes_unknown`: why."""
    url = settings.redis_url or running_server(run.folder / "redis.lock")
    if url is None:
        return {"nodes": [], "nodes_unknown": _NO_REDIS}
    try:
        check_redis(url)
        with redis.Redis.from_url(url, socket_timeout=30) as client:
            told = heard(Frontier(client, run.shared_name, run.recipe.politeness))
    except RedisUnreachableError as error:
        return {"nodes": [], "nodes_unknown": error.message}
    return {"nodes": [_facts(heartbeat) for heartbeat in told], "nodes_unknown": None}


def _facts(heartbeat: Heartbeat) -> dict[str, Any]:
    now = now_ms()
    age_s = max(0.0, (now - heartbeat.at_ms) / 1000)
    return {**asdict(heartbeat), "age_s": round(age_s, 1), "is_living": is_living(heartbeat, now_ms=now)}


def is_well(status: Mapping[str, Any], node_id: str) -> bool:
    """Whether a machine has a node at work all of whose processes seem to live."""
    ours = [node["is_living"] for node in status["nodes"] if node["node_id"] == node_id]
    return bool(ours) and all(ours)


def node_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """The nodes in words, a line a process."""
    nodes = status["nodes"]
    if status["nodes_unknown"]:
        yield f"nodes      {status['nodes_unknown']}"
        return
    living = [node for node in nodes if node["is_living"]]
    if not nodes:
        yield "nodes      none at work"
        return
    machines = len({node["node_id"] for node in living})
    items_per_s, bytes_per_s = (sum(node[name] for node in living) for name in ("items_per_s", "bytes_per_s"))
    yield f"nodes      machines {machines}  processes {len(living)}  items/s {items_per_s:,.1f}  {_size(bytes_per_s)}/s"
    for node in nodes:
        yield f"  {node['node_id']}/{node['process']}  {_living(node) if node['is_living'] else _silent(node)}"


def _living(node: Mapping[str, Any]) -> str:
    """What a process does and waits for, then what it has done."""
    done, failed = node["done"], node["failures"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(node["doing"].items()))
    words = [f"{node['in_work']} in work{f' ({kinds})' if kinds else ''}"]
    words += [f"waits for {what}" for what in _waits(node)]
    words += [f"done {done.get('media', 0):,} files ({_size(done.get('bytes', 0))})"]
    words += [f"{done.get('comments', 0):,} lists of comments"]
    words += [f"{node['items_per_s']:,.1f} items/s, {_size(node['bytes_per_s'])}/s"]
    if failed:
        commonest = sorted(failed.items(), key=lambda reason_and_count: -reason_and_count[1])
        words += ["failed " + ", ".join(f"{reason} {count:,}" for reason, count in commonest[:3])]
    words += [f"{_size(node['free_bytes'])} free", f"up {_time(node['up_s'])}", f"heard {_time(node['age_s'])} ago"]
    return "; ".join(words)


def _waits(node: Mapping[str, Any]) -> Iterator[str]:
    if node["is_disk_low"]:
        yield "disk space"
    if node["waiting_for_bandwidth"]:
        yield f"bandwidth ({node['waiting_for_bandwidth']} of them)"
    if node["is_idle"]:
        yield "a job"
    elif not node["in_work"] and not node["is_disk_low"]:
        yield "due work"


def _silent(node: Mapping[str, Any]) -> str:
    had = f"it had {node['in_work']} in work"
    return f"SILENT for {_time(node['age_s'])}: it was killed, hangs, or cannot reach Redis; {had}"


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:  # noqa: PLR2004 - of the metric system
            return f"{size_bytes:,.1f} {unit}" if unit != "B" else f"{size_bytes:,.0f} B"
        size_bytes /= 1000
    return f"{size_bytes:,.1f} TB"


def _time(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:,.0f} {unit}"
    return f"{seconds:,.0f} s"

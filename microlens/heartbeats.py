"""What each node process says of itself, every few seconds; kept in Redis, for whoever looks after the nodes."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection

    from microlens.frontier import Frontier

BEAT_S = 2.0
DEAD_AFTER_S = 30.0
"""A process that was not heard of for so long is gone."""
_REMEMBERED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One process of a node, at one moment."""

    node_id: str
    process: int
    at_ms: int
    """On the machine's own clock."""
    up_s: float
    free_bytes: int
    is_disk_low: bool
    """It claims nothing until there is more space."""
    in_work: int
    doing: dict[str, int] = field(default_factory=dict)
    """What is in work, by kind."""
    waiting_for_bandwidth: int = 0
    """Transfers that may not read at this moment."""
    is_idle: bool = False
    """It has ended its job, and waits for the next."""
    done: dict[str, int] = field(default_factory=dict)
    """Items committed since it began, by kind; `bytes` of media besides."""
    failures: dict[str, int] = field(default_factory=dict)
    """Attempts that failed since it began, by reason."""
    items_per_s: float = 0.0
    """Since its last heartbeat."""
    bytes_per_s: float = 0.0


def beat(frontier: Frontier, heartbeat: Heartbeat) -> None:
    frontier.tell_node(f"{heartbeat.node_id}/{heartbeat.process}", orjson.dumps(asdict(heartbeat)))


def living(frontier: Frontier, *, now_ms: int) -> list[Heartbeat]:
    """The newest heartbeat of every process that was heard of lately, by node and process."""
    return [heartbeat for heartbeat in heard(frontier) if is_living(heartbeat, now_ms=now_ms)]


def is_living(heartbeat: Heartbeat, *, now_ms: int) -> bool:
    return now_ms - heartbeat.at_ms < DEAD_AFTER_S * 1000


def heard(frontier: Frontier) -> list[Heartbeat]:
    """The newest heartbeat of every process that has not said farewell, however long ago, by node and process."""
    told = filter(None, map(_read, frontier.nodes().values()))
    return sorted(told, key=lambda heartbeat: (heartbeat.node_id, heartbeat.process))


def _read(text: bytes) -> Heartbeat | None:
    """None for what another version of the program says: nothing but a table for people depends on it."""
    try:
        told = orjson.loads(text)
        return Heartbeat(**{name: told[name] for name in Heartbeat.__slots__ if name in told})
    except (ValueError, TypeError):
        return None


def keep_idle(frontier: Frontier, node_id: str, processes: Collection[int], *, now_ms: int) -> None:
    """Speak for processes of a node that live and wait for a job: they have no loop of their own then."""
    for heartbeat in heard(frontier):
        is_ours = heartbeat.node_id == node_id and heartbeat.process in processes
        if is_ours and heartbeat.is_idle and now_ms - heartbeat.at_ms >= BEAT_S * 1000:
            beat(frontier, replace(heartbeat, at_ms=now_ms))


def forget(frontier: Frontier, node_id: str, processes: Collection[int]) -> None:
    """Have processes that ended well, or were replaced, be told of no more."""
    frontier.forget_nodes([f"{node_id}/{process}" for process in processes])


def forget_gone(frontier: Frontier, node_id: str, *, now_ms: int) -> None:
    """Have nobody told of who was killed on this machine, called `node_id`, or was not heard of for a day."""
    for heartbeat in heard(frontier):
        was_killed = heartbeat.node_id == node_id and not _is_there(heartbeat.process)
        if was_killed or now_ms - heartbeat.at_ms > _REMEMBERED_S * 1000:
            forget(frontier, heartbeat.node_id, [heartbeat.process])


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True

"""What each node process says of itself, every few seconds; kept in Redis, for whoever looks after the nodes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from microlens.frontier import Frontier

BEAT_S = 2.0
DEAD_AFTER_S = 30.0
"""A process that was not heard of for so long is gone."""


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
    told = [Heartbeat(**orjson.loads(text)) for text in frontier.nodes().values()]
    recent = [heartbeat for heartbeat in told if now_ms - heartbeat.at_ms < DEAD_AFTER_S * 1000]
    return sorted(recent, key=lambda heartbeat: (heartbeat.node_id, heartbeat.process))

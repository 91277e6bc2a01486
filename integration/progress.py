"""How the sources of a pull do."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOW_S = 30.0
"""A connection that has given nothing for so long, and has something to give, is told of."""
_RECENT_S = 10.0


@dataclass(slots=True)
class Progress:
    """How one source does; times are time.monotonic()."""

    channels: int
    files: int = 0
    size_bytes: int = 0
    trouble: str | None = None
    """Why nothing more is asked of it."""
    hint: str = ""
    """What to do about that."""
    waits: list[float | None] = field(init=False)
    """Of every channel: since when it has given nothing while it was asked."""
    _told: deque[tuple[float, int]] = field(default_factory=lambda: deque([(time.monotonic(), 0)]))
    """When it had given how many bytes, lately."""

    def __post_init__(self) -> None:
        self.waits = [None] * self.channels

    @property
    def waited_s(self) -> float:
        """How long the channel has waited that has waited longest."""
        return max((time.monotonic() - since for since in self.waits if since is not None), default=0.0)

    def recent_rate(self) -> float:
        """Bytes a second since it was asked for this some seconds ago, or first."""
        now = time.monotonic()
        self._told.append((now, self.size_bytes))
        while len(self._told) > 2 and now - self._told[1][0] >= _RECENT_S:  # noqa: PLR2004 - the first and the last stay
            self._told.popleft()
        began, size_bytes = self._told[0]
        return (self.size_bytes - size_bytes) / max(now - began, 1e-3)


def progress_facts(progress: Mapping[str, Progress], left: int) -> dict[str, Any]:
    """What a progress line tells: recent rates by source, and which have a connection that gives nothing."""
    facts: dict[str, Any] = {"left": left}
    for name, one in progress.items():
        rate, waited_s = one.recent_rate(), one.waited_s
        word = f"{rate / 1e6:.1f} MB/s" + (
            f", SLOW: nothing on a connection for {waited_s:.0f} s" * (waited_s > SLOW_S)
        )
        facts[name] = f"{one.files} files, {'lost' if one.trouble else word}"
    return facts

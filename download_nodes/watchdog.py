"""Ends worker processes that stand still: a decoder's library, a dead mount or a bug of ours may hold one for ever."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from microlens.heartbeats import heard
from microlens.logs import log

if TYPE_CHECKING:
    from collections.abc import Collection

    from microlens.frontier import Frontier

STILL_S = 60.0
"""A process with work to do that has not been heard of for so long is ended; it says something every two seconds."""
_LOOK_EVERY_S = 5.0


class Watchdog:
    """Watches the heartbeats of one node's own processes, by this process's own clock."""

    def __init__(self, frontier: Frontier, node_id: str, *, patience_s: float = STILL_S) -> None:
        self._frontier = frontier
        self._node_id = node_id
        self._patience_s = patience_s
        self._looked_at = 0.0
        self._seen: dict[int, tuple[float | None, float]] = {}
        """By process: the age that it told last, and since when that is the last."""

    def check(self, processes: Collection[int], *, is_work_left: bool) -> None:
        """Kill those that stand still: they are started again, and what they hold comes back when its leases end."""
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        # Who was stopped for a while itself, or has nothing to hand out, has not watched anybody.
        if not is_work_left or now - self._looked_at > 2 * _LOOK_EVERY_S:
            self._seen.clear()
        self._looked_at = now
        # Their age, and not when they were heard: somebody else speaks for those that are idle.
        told = {beat.process: beat.up_s for beat in heard(self._frontier) if beat.node_id == self._node_id}
        for process in processes:
            up_s, since = self._seen.get(process, (None, now))
            if told.get(process) != up_s:
                since = now
            self._seen[process] = told.get(process), since
            if now - since > self._patience_s:
                log.warning("worker_stands_still", process=process, seconds=round(now - since))
                os.kill(process, signal.SIGKILL)
                del self._seen[process]
        self._seen = {process: seen for process, seen in self._seen.items() if process in processes}

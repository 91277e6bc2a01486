"""Fills the frontier from the ledger while the nodes are at work already: a first file waits for no look at all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from download_nodes.backlog import forget_lost, outstanding_by_range
from microlens.logs import log

if TYPE_CHECKING:
    from microlens.frontier import Frontier
    from microlens.platforms.base import Platform
    from microlens.runs import Run


def refill(run: Run, frontier: Frontier, platform: Platform, *, is_over: threading.Event | None = None) -> int:
    """Push what the ledger still wants, range by range; gives how much of it was new to the frontier."""
    added = 0
    for items in outstanding_by_range(run, platform):
        if is_over is not None and is_over.is_set():
            break
        added += frontier.push(items)
    return added


class Refill:
    """One refill in a thread of its own, then a look for files that the store has lost. `close` it."""

    def __init__(self, run: Run, frontier: Frontier, platform: Platform) -> None:
        self._is_over = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refill")
        self._work = self._thread.submit(self._refill, run, frontier, platform)

    def is_done(self) -> bool:
        """Whether all is pushed; raises what the thread could not go on for."""
        if not self._work.done():
            return False
        self._work.result()
        return True

    def close(self) -> None:
        """End it, wherever it is: whoever works on this run next does it all again."""
        self._is_over.set()
        self._thread.shutdown()

    def _refill(self, run: Run, frontier: Frontier, platform: Platform) -> None:
        refill(run, frontier, platform, is_over=self._is_over)
        lost = forget_lost(run, frontier, platform, is_over=self._is_over.is_set)
        if lost:
            log.warning("files_lost", files=lost)

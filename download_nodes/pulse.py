"""A node process's pulse: what it has done and what failed, counted, and told to whoever looks after the nodes."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from download_nodes.alarm import FailureAlarm
from microlens.heartbeats import BEAT_S, Heartbeat, beat
from microlens.ledger import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from download_nodes.disk import Disk
    from microlens.frontier import Frontier
    from microlens.records import WorkKind

_KINDS = ("media", "comments", "bytes", "comment_rows")


class Pulse:
    """`counts` are of the process's whole life: items by kind, `bytes`, `comment_rows`, and `failed_…` by reason."""

    def __init__(self, node_id: str, frontier: Frontier, disk: Disk, *, share: float) -> None:
        self._node_id = node_id
        self._frontier = frontier
        self._disk = disk
        self._alarm = FailureAlarm(share=share)
        self._began = self._told_at = time.monotonic()
        self._told: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def succeeded(self, kind: WorkKind, names: Collection[str]) -> None:
        self.counts[kind] += len(names)
        for _ in names:
            self._alarm.succeeded()

    def failed(self, reason: str) -> None:
        self.counts[f"failed_{reason}"] += 1
        self._alarm.failed(reason)

    async def beat(self, in_work: Callable[[], int]) -> None:
        """Tell it every few seconds, until cancelled; `in_work` gives how many items are in hand."""
        while True:
            await asyncio.to_thread(beat, self._frontier, self._heartbeat(in_work()))
            await asyncio.sleep(BEAT_S)

    def _heartbeat(self, in_work: int) -> Heartbeat:
        now, since = time.monotonic(), self.counts - self._told
        seconds = max(now - self._told_at, 1e-3)
        self._told, self._told_at = Counter(self.counts), now
        failed = {name.removeprefix("failed_"): count for name, count in self.counts.items() if name not in _KINDS}
        return Heartbeat(
            node_id=self._node_id,
            process=os.getpid(),
            at_ms=now_ms(),
            up_s=round(now - self._began, 1),
            free_bytes=self._disk.free_bytes,
            is_disk_low=self._disk.is_low(),
            in_work=in_work,
            done={name: self.counts[name] for name in _KINDS if self.counts[name]},
            failures=failed,
            items_per_s=round((since["media"] + since["comments"]) / seconds, 2),
            bytes_per_s=round(since["bytes"] / seconds, 1),
        )

"""A node process's pulse: what it has done and what failed, counted, and told to whoever looks after the nodes."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

from download_nodes.alarm import FailureAlarm
from microlens.clock import now_ms
from microlens.heartbeats import BEAT_S, Heartbeat, beat, forget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from download_nodes.bandwidth import Bandwidth
    from download_nodes.disk import Disk
    from microlens.frontier import Frontier
    from microlens.records import WorkKind

_KINDS = ("media", "comments", "bytes", "comment_rows")


class Pulse:
    """`counts` are of the process's whole life: items by kind, `bytes`, `comment_rows`, and `failed_…` by reason."""

    def __init__(
        self,
        node_id: str,
        frontier: Frontier,
        disk: Disk,
        bandwidth: Bandwidth,
        *,
        share: float,
        aside: Callable[..., Awaitable[None]],
    ) -> None:
        """`aside` calls a function in a thread that waits for nothing else: silence is taken for death."""
        self._node_id = node_id
        self._frontier = frontier
        self._disk = disk
        self._bandwidth = bandwidth
        self._aside = aside
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

    async def beat(self, doing: Callable[[], Mapping[str, int]]) -> None:
        """Tell it every few seconds, until cancelled; `doing` gives how many items are in hand, by kind."""
        while True:
            await self._aside(beat, self._frontier, self._heartbeat(doing()))
            await asyncio.sleep(BEAT_S)

    async def rest(self, doing: Mapping[str, int]) -> None:
        """Tell that this process waits for a job, and what it will go on with then."""
        await self._aside(beat, self._frontier, self._heartbeat(doing, is_idle=True))

    async def end(self) -> None:
        """Tell that this process ends well."""
        await self._aside(forget, self._frontier, self._node_id, [os.getpid()])

    def _heartbeat(self, doing: Mapping[str, int], *, is_idle: bool = False) -> Heartbeat:
        is_low = self._disk.is_low()  # looks at the disk
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
            is_disk_low=is_low,
            in_work=sum(doing.values()),
            doing=dict(doing),
            waiting_for_bandwidth=self._bandwidth.waiting,
            is_idle=is_idle,
            done={name: self.counts[name] for name in _KINDS if self.counts[name]},
            failures=failed,
            items_per_s=round((since["media"] + since["comments"]) / seconds, 2),
            bytes_per_s=round(since["bytes"] / seconds, 1),
        )

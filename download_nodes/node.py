"""One node process: claims due work, fetches, measures, stores, and commits; for a while, then gives the word back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from download_nodes.arrivals import Arrival, Arrivals
from download_nodes.asking import AskingCollector, Desk
from download_nodes.claims import KINDS, Claims
from download_nodes.comment_parts import CommentParts
from download_nodes.comments import CommentCollector
from download_nodes.courtesy import Courtesy
from download_nodes.disk import Disk
from download_nodes.failures import Failures
from download_nodes.flights import Flights
from download_nodes.media import MediaCollector
from download_nodes.pulse import Pulse
from microlens.conversations import Conversations
from microlens.database import LedgerFullError
from microlens.errors import RedisUnreachableError
from microlens.frontier import LEASE_S, Frontier, host_of
from microlens.platforms import platform_of
from microlens.platforms.base import is_asking
from microlens.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from microlens.records import FrontierItem, WorkKind
    from microlens.runs import Run

WIDTH = 96
"""Items in work at once in one process; a host's own limits are the frontier's."""
_RENEW_S = LEASE_S / 3
_WORTH_ASKING = WIDTH // 4
"""Places that came free for which Redis is asked at once; for fewer it is asked a little later."""
_ASK_EVERY_S = 0.05
_LINGER_S = 5.0
"""A job that has ended waits for its last items so long; what takes longer goes on in the next job."""
GRACE_S = 6.0
"""A node that is told to stop finishes what it can in this time; the rest goes back. `docker stop` kills after ten."""


class Node:
    """Must be made inside a running event loop; `close` it there."""

    def __init__(self, run: Run, redis_url: str) -> None:
        settings = Settings()
        self._platform = platform_of(run.recipe)
        self._frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        self._courtesy = Courtesy(run, self._frontier, most=WIDTH, bytes_per_s=settings.bytes_per_second)
        self._conversations = Conversations()
        self._flights = Flights(run, self._frontier)
        folders = (run.folder, run.store.temporary().parent)
        self._disk = Disk(folders, least_bytes=settings.min_free_bytes)
        node_id, bandwidth = run.ledger.node_id, self._courtesy.bandwidth
        self._own_thread = ThreadPoolExecutor(1, thread_name_prefix="leases")
        self._pulse = Pulse(
            node_id, self._frontier, self._disk, bandwidth, share=settings.warn_failure_share, aside=self._aside
        )
        self._failures = Failures(
            run, self._frontier, courtesy=self._courtesy, flights=self._flights, disk=self._disk, pulse=self._pulse
        )
        self._media = MediaCollector(run, self._courtesy)
        self._collector = self._make_collector(run)
        self._arrivals = Arrivals(run, self._platform)
        self._parts = CommentParts(run)
        self._claims = Claims(self._frontier, self._flights, self._parts, share=WIDTH // 2)
        self._in_work: dict[asyncio.Future[None], FrontierItem | None] = {}
        self._commits: dict[WorkKind, tuple[asyncio.Future[None], list[str]]] = {}
        self._fetched: defaultdict[WorkKind, list[str]] = defaultdict(list)
        """Items that the network is done with; told to the frontier with the next claim."""
        self._wake = asyncio.Event()
        self._freed = 0
        """Places that came free since the last claim."""
        self._trouble: BaseException | None = None
        """What ends the node, from whichever of its tasks."""
        self._stopped_at: float | None = None

    @property
    def counts(self) -> Counter[str]:
        """What was done since the node was made."""
        return self._pulse.counts

    def stop(self) -> None:
        """Claim nothing more; finish what is in work, commit, return. May be called from a signal handler."""
        self._stopped_at = self._stopped_at or time.monotonic()
        self._conversations.stop()
        self._courtesy.stop()

    async def close(self) -> None:
        """Commit what is finished, give back what is still in work, and end all connections."""
        await self._cut_off()
        self._start_commits(is_last=True)
        await self._end_commits()
        await self._conversations.close()
        await self._media.close()
        await self._courtesy.close()
        with contextlib.suppress(RedisUnreachableError):
            await self._pulse.end()
        self._own_thread.shutdown()

    async def rest(self) -> None:
        """Tell that this node waits for a job."""
        await self._pulse.rest(self._doing())

    def _make_collector(self, run: Run) -> CommentCollector:
        courtesy = self._courtesy
        if not is_asking(self._platform):
            return CommentCollector(run, self._platform, courtesy.page)
        talks = self._conversations
        desk = Desk(talks, courtesy.fetcher, courtesy.budget, self._frontier, courtesy.tell, courtesy.answered)
        return AskingCollector(run, self._platform, courtesy.page, desk)

    # --- the loop ---

    async def drain(self, seconds: float) -> dict[str, int]:
        """Work for up to `seconds`, or until nothing is left to do; gives what was done, by kind."""
        before = Counter(self.counts)
        beside = [
            asyncio.create_task(self._keep_leases()),
            asyncio.create_task(self._pulse.beat(self._doing)),
        ]
        for task in beside:
            task.add_done_callback(self._ended)
        try:
            await self._drain_until(time.monotonic() + seconds)
        finally:
            for task in beside:
                task.cancel()
        await self.rest()
        return dict(self.counts - before)

    def _doing(self) -> Counter[str]:
        """What is in work, by kind."""
        return Counter("robots.txt" if item is None else item.kind for item in self._in_work.values())

    async def _drain_until(self, deadline: float) -> None:
        wait_s, ask_at = _RENEW_S, 0.0
        while True:
            now = time.monotonic()
            is_open = self._stopped_at is None and now < deadline and not self._disk.is_low()
            if is_open and (now >= ask_at or self._freed >= _WORTH_ASKING):
                self._freed = 0
                wait_s = await self._claim(WIDTH - len(self._in_work))
                ask_at = now + min(wait_s, _ASK_EVERY_S)
            self._start_commits(is_last=not self._in_work)
            if not self._in_work and not self._commits:
                is_over = self._stopped_at is not None or now >= deadline
                if is_over or await asyncio.to_thread(self._frontier.open_count, KINDS) == 0:
                    return
            if self._stopped_at is not None and now > self._stopped_at + GRACE_S:
                await self._cut_off()
            elif self._stopped_at is None and now > deadline + _LINGER_S:
                return
            await self._sleep(min(wait_s, _ASK_EVERY_S if self._in_work or self._freed else 0.25))
            if self._trouble is not None:
                raise self._trouble

    async def _sleep(self, seconds: float) -> None:
        """Until somebody wakes the loop, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    def _spawn(self, work: Awaitable[None], item: FrontierItem | None) -> None:
        task = asyncio.ensure_future(work)
        self._in_work[task] = item
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._freed += self._in_work.pop(task, None) is not None
        if not task.cancelled() and task.exception() is not None:
            self._trouble = self._trouble or task.exception()
        if self._trouble is not None or not self._in_work or self._freed >= _WORTH_ASKING:
            self._wake.set()

    async def _keep_leases(self) -> None:
        """Renew what is held, whatever the rest of the node waits for."""
        while True:
            await asyncio.sleep(_RENEW_S)
            for kind in KINDS:
                await self._aside(self._frontier.renew, kind, self._held(kind))
            await self._aside(self._flights.keep)

    async def _aside(self, call: Callable[..., object], *arguments: Any) -> None:
        """Call in a thread of its own: the others may all wait for a ledger that is locked, or a disk."""
        await asyncio.get_running_loop().run_in_executor(self._own_thread, call, *arguments)

    def _held(self, kind: WorkKind) -> list[str]:
        """Names of all items that this process has in hand."""
        in_work = [item.name for item in self._in_work.values() if item is not None and item.kind == kind]
        waiting = self._arrivals.names if kind == "media" else self._parts.names
        committing = self._commits[kind][1] if kind in self._commits else []
        return [*in_work, *waiting, *committing]

    async def _cut_off(self) -> None:
        """End what is in work and give it back: a transfer goes on from where it stopped, by whoever claims it."""
        left = dict(self._in_work)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self._end_commits()

    async def _end_commits(self) -> None:
        await asyncio.gather(*(task for task, _ in self._commits.values()), return_exceptions=True)

    # --- claiming ---

    async def _claim(self, room: int) -> float:
        """Take as much due work as there is room for; seconds until more may be due."""
        fetched, self._fetched = self._fetched, defaultdict(list)
        in_flight = Counter(host_of(item.url) for item in self._in_work.values() if item is not None)
        held = {kind: set(self._held(kind)) for kind in KINDS}
        claimed = await asyncio.to_thread(self._claims.visit, fetched, room, in_flight, held)
        for claim in claimed.claims:
            self._courtesy.hosts.take_in(claim)
            for request in claim.robots:
                self._spawn(self._ask_robots(request.host), None)
        for item in claimed.comments:
            self._spawn(self._failures.guarded(self._fetch_comments, item), item)
        for boarded in claimed.media:
            if boarded.known:
                self._fetched["media"].append(boarded.item.name)
                self._arrivals.add(Arrival(boarded.item, tuple((asset, None) for asset in boarded.known)))
            else:
                self._spawn(self._failures.guarded(self._fetch_media, boarded.item), boarded.item)
        return min((claim.wait_s for claim in claimed.claims), default=_RENEW_S)

    async def _ask_robots(self, host: str) -> None:
        try:
            await self._courtesy.ask_robots(host)
        except LedgerFullError as error:  # what it said could not be written down
            self._disk.was_full(is_here=not error.is_elsewhere)
            await asyncio.to_thread(self._frontier.give_back_robots, host)

    # --- the work ---

    async def _fetch_media(self, item: FrontierItem) -> None:
        self._failures.links.check(item)
        arrival = await self._media.collect(item, lambda: self._fetched["media"].append(item.name))
        self._arrivals.add(arrival)

    async def _fetch_comments(self, item: FrontierItem) -> None:
        spool = await self._collector.collect(item)
        self._failures.count_read()
        self._fetched["comments"].append(item.name)
        self._parts.add(spool)
        self.counts["comment_rows"] += len(spool.comments)

    # --- committing ---

    def _start_commits(self, *, is_last: bool) -> None:
        """Commit what is due, a kind at a time; all that there is when nothing more comes."""
        for kind in KINDS:
            batch = self._arrivals if kind == "media" else self._parts
            if kind in self._commits or not (batch.is_due() or (is_last and batch.names)):
                continue
            task = asyncio.ensure_future(self._commit(kind))
            self._commits[kind] = task, []
            task.add_done_callback(self._ended)

    async def _commit(self, kind: WorkKind) -> None:
        batch: Any = self._arrivals if kind == "media" else self._parts
        taken = batch.take()
        names = list(taken)
        self._commits[kind][1].extend(names)
        try:
            await asyncio.to_thread(self._commit_now, kind, batch, taken)
            self._pulse.succeeded(kind, names)
            self._disk.had_room()
            if kind == "media":
                self.counts["bytes"] += sum(arrival.size_bytes for arrival in taken.values())
        except (OSError, LedgerFullError) as error:
            await self._failures.not_stored(kind, names, error)
        finally:
            del self._commits[kind]
            self._wake.set()

    def _commit_now(self, kind: WorkKind, batch: Any, taken: dict[str, Any]) -> None:
        due: Iterable[FrontierItem] = batch.commit(taken)
        self._frontier.push(due)
        self._frontier.ack(kind, list(taken))
        self._flights.land(list(taken))

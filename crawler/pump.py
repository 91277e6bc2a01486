"""Moves leased items from the frontier to Scrapy's engine, and commits what comes back.

Redis and SQL are spoken to in a thread, so that the event loop never waits for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from microlens.errors import PageChangedError
from microlens.frontier import LEASE_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from crawler.commits import Committer
    from microlens.frontier import Frontier, RobotsRequest
    from microlens.records import FrontierItem

IN_FLIGHT = 64
"""Items leased at once by one collection node; a host's own limits are the frontier's."""

_POLL_S = 0.02
_TICK_S = 0.25
_RENEW_S = LEASE_S / 3
_FOLLOW_S = 0.5
"""How soon one collection node learns what another has committed."""


class Fetcher(Protocol):
    """What the spider does for the pump."""

    def start_item(self, item: FrontierItem, sent_ms: int) -> None: ...
    async def fetch_robots(self, request: RobotsRequest) -> None: ...


class Pump:
    def __init__(
        self,
        frontier: Frontier,
        committer: Committer,
        fetcher: Fetcher,
        *,
        limit: int | None = None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._frontier = frontier
        self._committer = committer
        self._fetcher = fetcher
        self._limit = limit
        self._on_tick = on_tick
        self._finished = 0
        self._leased: set[str] = set()
        self._fetched: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._over = asyncio.Event()
        self._ask_at = 0.0
        self._error: BaseException | None = None

    def finished(self, name: str) -> None:
        """The spider is done with an item: read, failed or given back. Its host's place is free."""
        self._leased.discard(name)
        self._fetched.append(name)
        self._finished += 1

    def stop(self, error: BaseException | None = None) -> None:
        """Claim nothing more; commit what is read, then end (and raise `error`)."""
        self._stopping = True
        self._error = self._error or error

    async def run(self) -> None:
        """Pump until the plan is finished or somebody stops it."""
        beats = [self._spawn(self._every(_RENEW_S, self._renew)), self._spawn(self._every(_TICK_S, self._on_tick))]
        try:
            await self._move()
        finally:
            self._over.set()
            await asyncio.gather(*beats)
        if self._error is not None:
            raise self._error

    async def _move(self) -> None:
        await asyncio.to_thread(self._committer.restore)
        followed = time.monotonic()
        while not self._stopping:
            if time.monotonic() >= self._ask_at:
                await self._claim()
            if self._committer.pending and (self._committer.is_due() or not self._leased):
                await asyncio.to_thread(self._committer.commit, self._committer.take())
                self._ask_at = 0.0
            if self._fetched:
                fetched, self._fetched = self._fetched, []
                await asyncio.to_thread(self._frontier.fetched, self._committer.kind, fetched)
                self._ask_at = 0.0
            if time.monotonic() - followed > _FOLLOW_S:
                await asyncio.to_thread(self._committer.follow)
                followed = time.monotonic()
            is_over = self._limit is not None and self._finished >= self._limit
            if (is_over or self._committer.is_finished) and not self._leased and not self._committer.pending:
                break
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(self._committer.commit, self._committer.take())
        if isinstance(self._error, PageChangedError):
            await asyncio.to_thread(self._committer.forget_changed)

    async def _claim(self) -> None:
        """Lease what is due and there is room for; where nothing is, ask again only when something may be."""
        room = IN_FLIGHT - len(self._leased)
        if self._limit is not None:
            room = min(room, self._limit - self._finished - len(self._leased))
        if room <= 0:
            return
        claim = await asyncio.to_thread(self._frontier.claim, self._committer.kind, room)
        for request in claim.robots:
            self._spawn(self._fetcher.fetch_robots(request))
        for item in claim.items:
            self._leased.add(item.name)
            self._fetcher.start_item(item, claim.at_ms)
        if not claim.items:
            self._ask_at = time.monotonic() + min(claim.wait_s, _FOLLOW_S)

    def _renew(self) -> None:
        self._frontier.renew(self._committer.kind, [*self._leased, *self._committer.held])

    async def _every(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function again and again in a thread, whatever the pump waits for meanwhile."""
        while not self._over.is_set():
            await asyncio.to_thread(function)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - handed to `run`, which raises it
                self.stop(error)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

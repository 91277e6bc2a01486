"""Moves leased items from the frontier to Scrapy's engine, and what became of them to the committer.

The pump works in a thread of its own, the only one that waits for Redis and SQL: the event loop never does. The loop
hands over what became of an item with `finished`; the pump gathers such outcomes for a moment and then deals with all
of them at once, since a round trip and a change of threads cost more than an item.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from microlens.errors import PageChangedError
from microlens.frontier import LEASE_S, host_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.commits import Committer, Outcome
    from microlens.frontier import Claim, Frontier
    from microlens.records import FrontierItem

IN_FLIGHT = 128
"""Items leased at once by one collection node; a host's own limits are the frontier's."""
SHARE = IN_FLIGHT // 2
"""Of these at one host, at most: should it stall, the others go on."""

_WORTH_ASKING = IN_FLIGHT // 4
"""Free places for which Redis is asked at once."""
_GATHER_S = 0.03
_LONGEST_WAIT_S = 0.25
_TICK_S = 0.25
_RENEW_S = LEASE_S / 3
_FOLLOW_S = 0.5
"""How soon one collection node learns what another has committed."""
_LAST_ANSWERS_S = 5.0
"""How long a node that was stopped waits for what is in flight."""


class Fetcher(Protocol):
    """What the spider does for the pump; called in the pump's thread."""

    def take_over(self, claim: Claim) -> None: ...


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
        self._outcomes: deque[Outcome] = deque()
        self._wake = threading.Event()
        self._leased: dict[str, FrontierItem] = {}
        self._finished = 0
        self._ask_at = 0.0
        self._stopped_at: float | None = None
        self._error: BaseException | None = None

    # --- called from any thread ---

    def finished(self, outcome: Outcome) -> None:
        """The spider is done with an item: its host's place is free."""
        self._outcomes.append(outcome)
        self._wake.set()

    def stop(self, error: BaseException | None = None) -> None:
        """Claim nothing more; take in what is in flight, commit, then end (and raise `error`)."""
        self._error = self._error or error
        self._stopped_at = self._stopped_at or time.monotonic()
        self._wake.set()

    def stop_soon(self) -> None:
        """`stop` for a signal's handler, which may have come in the midst of anything: it takes no lock."""
        self._stopped_at = self._stopped_at or time.monotonic()

    # --- the pump's own thread ---

    def run(self) -> None:
        """Pump until nothing more is wanted or somebody stops it."""
        over = threading.Event()
        beats = [
            threading.Thread(target=self._every, args=(_RENEW_S, self._renew, over), daemon=True),
            threading.Thread(target=self._every, args=(_TICK_S, self._on_tick, over), daemon=True),
        ]
        for beat in beats:
            beat.start()
        try:
            self._move()
        finally:
            over.set()
            for beat in beats:
                beat.join()
        if self._error is not None:
            raise self._error

    def _move(self) -> None:
        self._committer.restore()
        followed = time.monotonic()
        while True:
            self._take_in()
            self._committer.commit_homes()
            if self._committer.is_due(is_starving=self._is_starving()):
                self._committer.commit()
                self._ask_at = 0.0
            if self._is_over():
                break
            if time.monotonic() - followed > _FOLLOW_S:
                self._committer.follow()
                followed = time.monotonic()
            self._claim()
            self._wait()
        self._committer.commit_homes()
        self._committer.commit()
        for item in self._leased.values():
            self._frontier.give_back(item)
        if isinstance(self._error, PageChangedError):
            self._committer.forget_changed()

    def _take_in(self) -> None:
        names = []
        while self._outcomes:
            outcome = self._outcomes.popleft()
            names.append(outcome.item.name)
            self._committer.add(outcome)  # before it is no longer leased: `_renew` looks in both places
            self._leased.pop(outcome.item.name, None)
        if names:
            self._finished += len(names)
            self._frontier.fetched(self._committer.kind, names)
            self._ask_at = 0.0

    def _is_starving(self) -> bool:
        """Whether nothing is left to be fetched but what waits for the open batch to be committed."""
        is_limit_reached = self._limit is not None and self._finished >= self._limit and not self._leased
        return is_limit_reached or self._committer.wanted <= len(self._leased) + self._committer.pending

    def _is_over(self) -> bool:
        if self._stopped_at is not None:
            is_patient = self._error is None and time.monotonic() - self._stopped_at < _LAST_ANSWERS_S
            return not (self._leased and is_patient)
        is_done = self._committer.is_finished or (self._limit is not None and self._finished >= self._limit)
        return is_done and not self._leased and not self._committer.pending

    def _claim(self) -> None:
        """Lease what is due and there is room for; where nothing is, ask again only when something may be."""
        room = IN_FLIGHT - len(self._leased)
        if self._limit is not None:
            room = min(room, self._limit - self._finished - len(self._leased))
        if self._stopped_at is not None or room <= 0 or time.monotonic() < self._ask_at:
            return
        if room < _WORTH_ASKING and self._limit is None:
            return
        in_flight = Counter(host_of(item.url) for item in self._leased.values())
        claim = self._frontier.claim(self._committer.kind, room, share=SHARE, in_flight=in_flight)
        # What had lost its lease while this process slept is in flight or read already: it has the lease again.
        held = {*self._leased, *self._committer.held}
        claim = replace(claim, items=tuple(item for item in claim.items if item.name not in held))
        self._leased |= {item.name: item for item in claim.items}
        self._fetcher.take_over(claim)
        if len(claim.items) < room:
            self._ask_at = time.monotonic() + min(claim.wait_s, _FOLLOW_S)

    def _wait(self) -> None:
        """Until an item is finished or one may be due; then a moment more, for others to be finished as well."""
        wait_s = min(_LONGEST_WAIT_S, self._ask_at - time.monotonic()) if self._ask_at else _LONGEST_WAIT_S
        if wait_s > 0 and self._wake.wait(wait_s):
            time.sleep(_GATHER_S)
        self._wake.clear()

    def _renew(self) -> None:
        self._frontier.renew(self._committer.kind, list(dict.fromkeys([*self._leased, *self._committer.held])))

    def _every(self, seconds: float, function: Callable[[], None], over: threading.Event) -> None:
        """Call a function again and again, whatever the pump waits for meanwhile."""
        while not over.wait(seconds):
            try:
                function()
            except Exception as error:  # noqa: BLE001 - handed to `run`, which raises it
                self.stop(error)
                return

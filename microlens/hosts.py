"""What hosts tell a process that asks them: an answer, a refusal, or nothing; and what follows for all machines.

A host that refuses (429, 503) rests. One that keeps silent is parked: nothing is asked of it for a while, longer each
time, and it is told in the log and in the ledger. Either is over with its first answer.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

from microlens.clock import now_ms
from microlens.frontier import host_of
from microlens.host_ledger import RobotsFetch
from microlens.logs import log
from microlens.outcomes import SILENCE, HostRestsError
from microlens.robots import RETRY_S, Robots, is_unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microlens.frontier import Claim, Frontier
    from microlens.outcomes import Refusal
    from microlens.runs import Run

RobotsOutcome = Literal["known", "again", "parked", "given_up"]
"""`again`: it will be asked for once more, soon; `given_up`: the host's work fails."""


async def await_turn(
    url: str,
    take: Callable[[str], Awaitable[float]],
    pace_s: Callable[[str], float],
    *,
    patience_s: float,
    check: Callable[[str, float], None] = lambda _host, _wait_s: None,
    look_s: float = math.inf,
) -> None:
    """Wait until `take` gives a request to a URL's host; HostRestsError if it rests for longer than `patience_s`.

    A slow pace is no rest: it is the same after every request, and given back for it an item would never be done.
    `check` may end the waiting, and is asked at least every `look_s`.
    """
    host = host_of(url)
    while (wait_s := await take(host)) > 0:
        check(host, wait_s)
        if wait_s > patience_s and wait_s > await asyncio.to_thread(pace_s, host):
            raise HostRestsError(host, wait_s)
        await asyncio.sleep(min(wait_s, look_s))


def tell_refusal(
    hosts: Hosts, url: str, refusal: Refusal, *, status: int | None, sent_ms: int, retry_after_s: float | None
) -> bool:
    """Have a refused request mean something for its host; True where the host rather than the request is at fault.

    `status` is None where no answer came. May wait for Redis.
    """
    if refusal.is_backoff:
        hosts.refused(url, refusal.reason, sent_ms=sent_ms, retry_after_s=retry_after_s)
    elif refusal.reason in SILENCE and status is None:
        return hosts.silent(url, sent_ms=sent_ms)
    elif status is not None:
        hosts.answered(url)
    return False


class Hosts:
    """One process's view of the hosts of a run. Every method may wait for Redis or the ledger."""

    def __init__(self, run: Run, frontier: Frontier) -> None:
        self._frontier = frontier
        self._ledger = run.ledger.hosts
        self._give_up_after_s = run.recipe.politeness.give_up_after_s
        self._instances = frozenset(map(host_of, run.recipe.instances))
        self._troubled: set[str] = set()
        self._clock_ms = 0
        """Redis's clock less ours."""
        self.robots = Robots(frontier, run.recipe.user_agent, self._ledger)

    def take_in(self, claim: Claim) -> None:
        """Learn from a claim what time it is, and which hosts others had trouble with."""
        self._clock_ms = claim.at_ms - now_ms()
        self._troubled |= claim.troubled

    def now_ms(self) -> int:
        """The moment on Redis's clock, for the `sent_ms` of a request."""
        return now_ms() + self._clock_ms

    def is_news(self, url: str) -> bool:
        """Whether an answer of this host is worth a call of `answered`: most hosts are in no trouble."""
        return host_of(url) in self._troubled

    def answered(self, url: str) -> None:
        """A host has answered, whatever it said."""
        host = host_of(url)
        if host in self._troubled:
            self._troubled.discard(host)
            if self._frontier.calm(host):
                self._returned(host)

    def refused(self, url: str, reason: str, *, sent_ms: int, retry_after_s: float | None) -> None:
        """A host asks to be left alone."""
        host = host_of(url)
        self._troubled.add(host)
        rest_s = self._frontier.backoff(host, sent_ms=sent_ms, retry_after_s=retry_after_s)
        log.warning("host_rests", host=host, seconds=round(rest_s, 1), reason=reason)

    def silent(self, url: str, *, sent_ms: int) -> bool:
        """A request brought no answer. True if the host rather than the request seems to be at fault.

        The first failure after an answer is the request's own; those that follow it in a row may be the host's.
        """
        host = host_of(url)
        self._troubled.add(host)
        silence = self._frontier.silent(host, sent_ms=sent_ms)
        return silence.failures > 1 or silence.is_late

    def robots_answered(self, host: str, status: int, body: bytes, *, sent_ms: int) -> RobotsOutcome:
        """A host's robots.txt came, or an answer that means something in its place."""
        if is_unreachable(status):
            return self.robots_failed(host, "server_error", status=status, body=body, sent_ms=sent_ms)
        if self.robots.remember(host, status, body):
            self._returned(host)
        return "known"

    def robots_failed(
        self, host: str, reason: str, *, sent_ms: int, status: int | None = None, body: bytes = b""
    ) -> RobotsOutcome:
        """No robots.txt came, so nothing may be asked of the host (RFC 9309, section 2.3.1.4).

        An instance, or a host that has answered before, is parked and asked again later. Any other one was chosen by
        some page and may not exist: its work fails at once, and can be opened again with `microlens-build retry`.
        """
        self._ledger.record_robots(RobotsFetch(host, status, body, failure=reason))
        silence = self._frontier.silent(host, sent_ms=sent_ms, is_robots=True, again_in_s=RETRY_S)
        if not silence.parked_s:
            return "again"
        if self.has_answered(host) and silence.for_s < self._give_up_after_s:
            self._ledger.record_parking(host, reason, silence.parked_s)
            log.warning("host_parked", host=host, reason=reason, seconds=round(silence.parked_s))
            return "parked"
        self.robots.refuse(host)
        self._ledger.end_parking(host)
        log.warning("host_given_up", host=host, reason=reason, silent_s=round(silence.for_s))
        return "given_up"

    def has_answered(self, host: str) -> bool:
        """Whether a host is one that is known to exist: an instance of the recipe, or one that has answered before."""
        return host in self._instances or self._ledger.has_answered(host)

    def are_all_instances_silent(self) -> bool:
        """True if no instance of the recipe has ever answered, and all are parked: there is nothing to wait for."""
        parked = {parking.host for parking in self._ledger.parked()}
        return parked >= self._instances and not any(map(self._ledger.has_answered, self._instances))

    def _returned(self, host: str) -> None:
        self._ledger.end_parking(host)
        log.info("host_returned", host=host)

"""What a node owes the hosts that it asks: their robots.txt, their pace, and to take their word."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from download_nodes.bandwidth import Bandwidth
from download_nodes.budget import Budget
from download_nodes.fetch import Fetcher, FetchError
from microlens.clock import now_ms
from microlens.frontier import host_of
from microlens.hosts import Hosts, await_turn, tell_refusal
from microlens.network import NetworkPolicy
from microlens.outcomes import HostRestsError
from microlens.robots import RETRY_S

if TYPE_CHECKING:
    from microlens.frontier import Frontier
    from microlens.hosts import RobotsOutcome
    from microlens.runs import Run

_PATIENCE_S = 20.0
"""A host that rests for longer is not waited for: its item goes back, and this process does something else."""


class Courtesy:
    """One process's dealings with hosts: whatever it fetches, it fetches through `fetcher`.

    Must be made inside a running event loop; `close` it there. `most` requests can be made at once, and
    `bytes_per_s` is what all processes of this machine may read; None: as much as comes.
    """

    def __init__(self, run: Run, frontier: Frontier, *, most: int, bytes_per_s: float | None = None) -> None:
        self._frontier = frontier
        self.hosts = Hosts(run, frontier)
        self.budget = Budget(frontier, run.recipe.politeness.requests_per_second, most=most)
        of_host = run.recipe.politeness.bytes_per_second
        self.bandwidth = Bandwidth(frontier, run.ledger.node_id, of_node=bytes_per_s, of_host=of_host)
        policy = NetworkPolicy(run.recipe.network.allow)
        self.fetcher = Fetcher(run.recipe, policy, self.why_not, self._await_turn, self.bandwidth)
        self._learning: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By host: held while its robots.txt is fetched for a redirect."""
        self._stopping = False

    def stop(self) -> None:
        """Wait for no host's turn any more, and for no bandwidth."""
        self._stopping = True
        self.bandwidth.stop()

    async def close(self) -> None:
        await self.fetcher.close()

    async def page(self, url: str, *, is_paid: bool) -> bytes:
        """A page of an item already claimed: its host's budget is asked again for every page but the first."""
        if not is_paid:
            await self._await_turn(url)
        body = await self.fetcher.page(url)
        await self.answered(url)
        return body

    async def answered(self, url: str) -> None:
        """Have an answer end the trouble of its host."""
        if self.hosts.is_news(url):
            await asyncio.to_thread(self.hosts.answered, url)

    def tell(self, error: FetchError) -> None:
        """Have a failed fetch mean something for its host, once; may wait for Redis."""
        if error.is_hosts_fault is not None:
            return
        error.is_hosts_fault = False
        if not error.sent_ms:
            return  # nothing was sent
        sent_ms = self.hosts.now_ms() - now_ms() + error.sent_ms
        error.is_hosts_fault = tell_refusal(
            self.hosts,
            error.url,
            error.refusal,
            status=error.status,
            sent_ms=sent_ms,
            retry_after_s=error.retry_after_s,
        )

    async def why_not(self, url: str) -> str | None:
        """Ask robots.txt, fetching it first for a host that a redirect led to."""
        host = host_of(url)
        if self.hosts.robots.is_at_hand(host):
            return self.hosts.robots.why_not(url)
        # Where it is forgotten (it grew old, or Redis was lost) many items ask at once: one fetch serves them all.
        async with self._learning[host]:
            if not await asyncio.to_thread(self.hosts.robots.is_known, host):
                await self._await_turn(url)
                if await self.ask_robots(host) in {"again", "parked"}:
                    is_known = self._stopping or await asyncio.to_thread(self.hosts.has_answered, host)
                    raise HostRestsError(host, RETRY_S, is_unknown=not is_known)
            # In here as well: a long one is parsed once, for all who wait.
            return await asyncio.to_thread(self.hosts.robots.why_not, url)

    async def ask_robots(self, host: str) -> RobotsOutcome:
        """Fetch a host's robots.txt, for all machines."""
        sent_ms = self.hosts.now_ms()
        try:
            status, body = await self.fetcher.robots(f"{host}/robots.txt")
        except asyncio.CancelledError:  # the node ends before an answer comes: whoever is next may ask at once
            self._frontier.give_back_robots(host)
            raise
        except FetchError as error:
            return await asyncio.to_thread(
                self.hosts.robots_failed, host, error.refusal.reason, status=error.status, sent_ms=sent_ms
            )
        except HostRestsError:  # a redirect of it led to a host that rests
            if self._stopping:
                return "again"  # nobody waits any more, and the host is not to blame
            return await asyncio.to_thread(self.hosts.robots_failed, host, "host_rests", sent_ms=sent_ms)
        return await asyncio.to_thread(self.hosts.robots_answered, host, status, body, sent_ms=sent_ms)

    async def _await_turn(self, url: str) -> None:
        """Take one request from the budget of a URL's host; HostRestsError if that would take too long."""
        pace_s, patience_s = self._frontier.pace_s, _PATIENCE_S
        await await_turn(url, self.budget.ask, pace_s, patience_s=patience_s, check=self._give_up_if_stopping)

    def _give_up_if_stopping(self, host: str, wait_s: float) -> None:
        if self._stopping:
            raise HostRestsError(host, wait_s)

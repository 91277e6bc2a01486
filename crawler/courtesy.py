"""What a collection node owes the hosts that it asks: their robots.txt, their pace, and to take their word."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from scrapy import Request

from crawler.answers import STOPPING, refused_by
from crawler.middlewares.network import ForbiddenAddressError
from crawler.middlewares.robots import ROBOTS_TXT
from microlens.errors import SiteUnreachableError
from microlens.frontier import RobotsRequest, host_of
from microlens.hosts import await_turn, tell_refusal
from microlens.outcomes import HostRestsError
from microlens.robots import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy.http import Response

    from crawler.answers import RefusedAnswerError
    from microlens.frontier import Frontier
    from microlens.hosts import Hosts, RobotsOutcome
    from microlens.runs import Run

_PATIENCE_S = 20.0
"""A host that rests for longer is not waited for: the page goes back, and its place is another's."""


class Courtesy:
    """One spider's dealings with hosts; `download` sends its requests, this one's own among them."""

    def __init__(
        self, run: Run, frontier: Frontier, hosts: Hosts, download: Callable[[Request], Awaitable[Response]]
    ) -> None:
        self._instances = frozenset(map(host_of, run.recipe.instances))
        self._frontier = frontier
        self.hosts = hosts
        self.download = download
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By host: held while its robots.txt is fetched."""

    async def await_turn(self, url: str) -> None:
        """Take one request from the budget of a URL's host; HostRestsError if that would take too long."""
        await await_turn(url, self.take, self._frontier.pace_s, patience_s=_PATIENCE_S)

    async def take(self, host: str) -> float:
        """Ask for one request to a host: 0.0 to go, else seconds to wait before asking again."""
        return await asyncio.to_thread(self._frontier.take, host)

    async def learn_robots(self, host: str) -> None:
        """Have a host's robots.txt fetched until it is known or given up; one fetch serves all who wait for it."""
        async with self._asking[host]:
            while not await asyncio.to_thread(self.hosts.robots.is_known, host):
                await self.await_turn(host)
                if await self._fetch_robots(RobotsRequest(host, f"{host}/robots.txt")) == "again":
                    await asyncio.sleep(RETRY_S)

    async def fetch_robots(self, request: RobotsRequest) -> None:
        """Fetch a host's robots.txt, unless somebody here is fetching it."""
        is_asked_for = self._asking[request.host].locked()
        async with self._asking[request.host]:
            if not is_asked_for:
                await self._fetch_robots(request)

    async def _fetch_robots(self, request: RobotsRequest) -> RobotsOutcome:
        """Have a robots.txt, or that there is none, mean something for its host.

        Raises SiteUnreachableError if an instance of the recipe is given up, or none has ever answered.
        """
        is_instance = request.host in self._instances
        sent_ms = self.hosts.now_ms()
        try:
            response = await self.download(Request(request.url, dont_filter=True, meta={ROBOTS_TXT: True}))
            outcome = await asyncio.to_thread(
                self.hosts.robots_answered, request.host, response.status, response.body, sent_ms=sent_ms
            )
            cause = f"it answered {response.status}"
        except ForbiddenAddressError as error:
            if is_instance:
                raise SiteUnreachableError(
                    f"{request.url} is not fetched: {error}",
                    hint="if the site is your own, name its network under `network.allow` in the recipe",
                ) from error
            await asyncio.to_thread(self.hosts.robots.refuse, request.host)
            return "given_up"
        except STOPPING:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a connection can raise
            cause = str(error) or type(error).__name__
            reason = "host_rests" if isinstance(error, HostRestsError) else refused_by(error).refusal.reason
            outcome = await asyncio.to_thread(self.hosts.robots_failed, request.host, reason, sent_ms=sent_ms)
        if outcome == "parked":
            is_instance = await asyncio.to_thread(self.hosts.are_all_instances_silent)
        if is_instance and outcome in {"parked", "given_up"}:
            raise SiteUnreachableError(
                f"{request.url} cannot be fetched: {cause}",
                hint="check the recipe's `instances` and the network, then run the same command: nothing is lost",
            )
        return outcome

    async def tell(self, refused: RefusedAnswerError, *, url: str, sent_ms: int) -> None:
        """Have what was refused mean something for its host, once; address and moment are where it has none itself."""
        if refused.is_hosts_fault is None:
            refused.is_hosts_fault = False  # nobody tells it again meanwhile
            refused.is_hosts_fault = await asyncio.to_thread(
                tell_refusal,
                self.hosts,
                refused.url or url,
                refused.refusal,
                status=refused.status,
                sent_ms=refused.sent_ms or sent_ms,
                retry_after_s=refused.retry_after_s,
            )

    async def answered(self, url: str) -> None:
        """Have an answer end the trouble of its host."""
        if self.hosts.is_news(url):
            await asyncio.to_thread(self.hosts.answered, url)

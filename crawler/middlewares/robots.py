"""Refuses requests, redirected ones included, that robots.txt forbids: before they are sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from scrapy.exceptions import IgnoreRequest

from crawler.middlewares.network import ForbiddenAddressError
from crawler.resolver import was_refused
from microlens.frontier import host_of

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.spiders.videos import VideoSpider

ROBOTS_TXT = "microlens_robots_txt"
"""Marks the request for a robots.txt itself, which may always be made (RFC 9309, section 2.2.2)."""


class ForbiddenByRobotsError(IgnoreRequest):
    """Never leaves the crawler."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.reason = reason
        """`robots` or `robots_unreachable`."""


class RobotsGuard:
    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RobotsGuard:
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        if request.meta.get(ROBOTS_TXT):
            return
        courtesy = cast("VideoSpider", self._crawler.spider).courtesy
        robots = courtesy.hosts.robots
        if robots.is_at_hand(host_of(request.url)):
            reason = robots.why_not(request.url)
        else:
            reason = await asyncio.to_thread(robots.why_not, request.url)
        if reason == "robots_unreachable":
            # A host that a redirect or a list leads to: the frontier has not had its robots.txt fetched.
            await courtesy.learn_robots(host_of(request.url))
            if was_refused(urlsplit(request.url).hostname or ""):
                raise ForbiddenAddressError(request.url)
            reason = await asyncio.to_thread(robots.why_not, request.url)
        if reason is not None:
            raise ForbiddenByRobotsError(request.url, reason)

"""Refuses requests, redirected ones included, that robots.txt forbids: before they are sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from scrapy.exceptions import IgnoreRequest

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.spiders.videos import VideoSpider

ROBOTS_TXT = "microlens_robots_txt"
"""Marks the request for a robots.txt itself, which may always be made (RFC 9309, section 2.2.2)."""


class ForbiddenByRobotsError(IgnoreRequest):
    """Never leaves the crawler."""


class RobotsGuard:
    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> RobotsGuard:
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        if request.meta.get(ROBOTS_TXT):
            return
        robots = cast("VideoSpider", self._crawler.spider).robots
        if not await asyncio.to_thread(robots.is_allowed, request.url):
            raise ForbiddenByRobotsError(request.url)

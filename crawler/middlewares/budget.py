"""Has redirect targets paid for at their own hosts; all else is paid for where it is claimed or asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler

    from crawler.spiders.videos import VideoSpider


AWAIT_TURN = "microlens_await_turn"
"""Who asks otherwise than the spider says here how a redirect's target is paid for."""


class BudgetGuard:
    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> BudgetGuard:
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        if request.meta.get("redirect_times"):
            await_turn = request.meta.get(AWAIT_TURN) or cast("VideoSpider", self._crawler.spider).courtesy.await_turn
            await await_turn(request.url)

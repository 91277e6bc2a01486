"""A Scrapy scheduler over microlens.frontier.

Scrapy asks for requests synchronously and would block its event loop on Redis. So a pump (crawler.pump) claims leased
items without blocking and hands them to the engine, which gives them to this queue for the moment until it has room.
The queue holds nothing that is not leased: what a crash leaves here comes back when its lease ends.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from scrapy.core.scheduler import BaseScheduler

if TYPE_CHECKING:
    from scrapy import Request
    from scrapy.crawler import Crawler
    from scrapy.statscollectors import StatsCollector


class FrontierScheduler(BaseScheduler):
    def __init__(self, stats: StatsCollector | None = None) -> None:
        self._claimed: deque[Request] = deque()
        self._stats = stats
        self.is_finished = False
        """Set by the pump when the frontier has nothing more: only then may Scrapy close the spider."""

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> FrontierScheduler:
        return cls(crawler.stats)

    def has_pending_requests(self) -> bool:
        return bool(self._claimed) or not self.is_finished

    def enqueue_request(self, request: Request) -> bool:
        self._claimed.append(request)
        if self._stats is not None:
            self._stats.inc_value("scheduler/enqueued/frontier")
        return True

    def next_request(self) -> Request | None:
        return self._claimed.popleft() if self._claimed else None

    def __len__(self) -> int:
        return len(self._claimed)

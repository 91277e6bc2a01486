"""`python -m benchmarks.pages_floor FILE`: read every URL of a file with plain Scrapy, and keep nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess

from crawler.answers import check_tags
from crawler.visits import page_row, video_record
from microlens.platforms.base import Page
from microlens.platforms.sandbox import SandboxPlatform
from microlens.privacy import Pseudonymiser
from microlens.recipe import Recipe
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.http import Response

URLS = Path(sys.argv[1]).read_text().splitlines()
PLATFORM = SandboxPlatform()
PSEUDONYMS = Pseudonymiser(bytes(32))
RECIPE = Recipe(name="floor", platform="sandbox", instances=("http://127.0.0.1",), contact="bench@example.org")


class PlainSpider(Spider):
    name = "plain"

    async def start(self) -> AsyncIterator[Any]:
        for url in URLS:
            item = FrontierItem("page", url.rsplit("/", 1)[1], url, {})
            yield Request(url, cb_kwargs={"item": item}, dont_filter=True)

    async def parse(self, response: Response, item: FrontierItem) -> None:
        check_tags(response)
        video = PLATFORM.parse_video(Page(item.url, response.body))
        page_row(item, video, video.related, RECIPE)
        video_record("sandbox", video, PSEUDONYMS)


if __name__ == "__main__":
    process = AsyncCrawlerProcess(
        {
            "CONCURRENT_ITEMS": 1,
            "CONCURRENT_REQUESTS": 64,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 64,
            "DOWNLOAD_DELAY": 0,
            "ROBOTSTXT_OBEY": False,
            "RETRY_ENABLED": False,
            "COOKIES_ENABLED": False,
            "REFERER_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOG_ENABLED": False,
            "LOG_INSTALL_ROOT_HANDLER": False,
        }
    )
    process.crawl(PlainSpider)
    process.start()

"""`python -m benchmarks.pages_floor URLS FOLDER`: the same spider on Scrapy's own queue, in memory.

It reads every URL of a file as ours does and writes the same records to the same kind of Parquet parts. There is no
Redis, no lease, no ledger and no plan: killed, it has lost everything that was not read yet.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy import Request, Spider
from scrapy.crawler import AsyncCrawlerProcess

from crawler.answers import check_tags
from crawler.commits import FLUSH_ROWS
from crawler.run import FETCHING
from crawler.visits import page_row, video_record, video_table
from microlens.parts import write_part
from microlens.platforms.base import Page
from microlens.platforms.sandbox import SandboxPlatform
from microlens.privacy import Pseudonymiser
from microlens.recipe import Recipe
from microlens.records import FrontierItem, VideoRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scrapy.http import Response

URLS, FOLDER = Path(sys.argv[1]).read_text().splitlines(), Path(sys.argv[2])
PLATFORM = SandboxPlatform()
PSEUDONYMS = Pseudonymiser(bytes(32))
RECIPE = Recipe(name="floor", platform="sandbox", instances=("http://127.0.0.1",), contact="bench@example.org")


class PlainSpider(Spider):
    name = "plain"

    def __init__(self) -> None:
        super().__init__()
        self._records: list[VideoRecord] = []

    async def start(self) -> AsyncIterator[Any]:
        for url in URLS:
            if "/v/" not in url:
                yield Request(url, callback=self.parse_home, dont_filter=True)
                continue
            item = FrontierItem("page", url.rsplit("/", 1)[1], url, {})
            yield Request(url, cb_kwargs={"item": item}, dont_filter=True)

    async def parse_home(self, response: Response) -> None:
        PLATFORM.parse_home(Page(response.url, response.body))

    async def parse(self, response: Response, item: FrontierItem) -> None:
        check_tags(response)
        video = PLATFORM.parse_video(Page(item.url, response.body))
        page_row(item, video, video.related, RECIPE)
        self._records.append(video_record("sandbox", video, PSEUDONYMS))
        if len(self._records) >= FLUSH_ROWS:
            self._flush()

    def closed(self, _reason: str) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._records:
            write_part(FOLDER, "videos", video_table(self._records))
            self._records = []


if __name__ == "__main__":
    process = AsyncCrawlerProcess({**FETCHING, "ROBOTSTXT_OBEY": False})
    process.crawl(PlainSpider)
    process.start()

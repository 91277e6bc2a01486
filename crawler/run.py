"""Runs one collection node until the crawl is finished, is stopped, or cannot go on."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, cast

from scrapy.crawler import AsyncCrawlerProcess

from crawler.commits import Committer
from crawler.links import LinkCommitter
from crawler.plan import CrawlPlan
from crawler.pump import IN_FLIGHT
from crawler.spiders.videos import VideoSpider
from microlens.frontier import Frontier
from microlens.hosts import Hosts
from microlens.logs import log
from microlens.platforms import platform_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler

    from microlens.platforms.base import Platform
    from microlens.runs import Run

MAX_PAGE_BYTES = 16 << 20

_TOLD = ("downloader/", "scheduler/", "response_received_count", "elapsed_time_seconds", "memusage/max")

_UNUSED = (
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware",
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware",
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware",
)
_UNUSED_AROUND_SPIDERS = (
    "scrapy.spidermiddlewares.start.StartSpiderMiddleware",
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware",
    "scrapy.spidermiddlewares.referer.RefererMiddleware",
    "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware",
    "scrapy.spidermiddlewares.depth.DepthMiddleware",
)

_GUARDS = {
    "crawler.middlewares.network.NetworkGuard": 850,
    "crawler.middlewares.robots.RobotsGuard": 860,
    "crawler.middlewares.budget.BudgetGuard": 870,
}

FETCHING: dict[str, Any] = {
    # The spider yields nothing, and Scrapy would start so many tasks after every answer to see to it.
    "CONCURRENT_ITEMS": 1,
    # More than the pump ever leases: no host's stalled requests keep another's waiting in here.
    "CONCURRENT_REQUESTS": 4 * IN_FLIGHT,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 4 * IN_FLIGHT,
    "DOWNLOAD_DELAY": 0,
    "DOWNLOAD_MAXSIZE": MAX_PAGE_BYTES,
    "DOWNLOAD_FAIL_ON_DATALOSS": True,
    # Scrapy's own default takes any certificate.
    "DOWNLOAD_VERIFY_CERTIFICATES": True,
    "REDIRECT_MAX_TIMES": 5,
    "RETRY_ENABLED": False,
    "HTTPERROR_ALLOW_ALL": True,
    # A proxy would resolve names where nobody checks them.
    "HTTPPROXY_ENABLED": False,
    "COOKIES_ENABLED": False,
    "REFERER_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_ENABLED": False,
    "LOG_INSTALL_ROOT_HANDLER": False,
    "DOWNLOADER_MIDDLEWARES": dict.fromkeys(_UNUSED),
    "SPIDER_MIDDLEWARES": dict.fromkeys(_UNUSED_AROUND_SPIDERS),
}
"""Scrapy as a fetcher only: order, politeness, retries and robots.txt are the frontier's, for all machines."""


def scrapy_settings(run: Run) -> dict[str, Any]:
    return {
        **FETCHING,
        "SCHEDULER": "crawler.scheduler.FrontierScheduler",
        "USER_AGENT": run.recipe.user_agent,
        "DOWNLOAD_TIMEOUT": run.recipe.politeness.timeout_s,
        # crawler/middlewares/robots.py obeys microlens.robots instead, which every node of the run shares.
        "ROBOTSTXT_OBEY": False,
        "TWISTED_DNS_RESOLVER": "crawler.resolver.GuardedResolver",
        "DOWNLOADER_MIDDLEWARES": FETCHING["DOWNLOADER_MIDDLEWARES"] | _GUARDS,
        "MICROLENS_NETWORK_ALLOW": list(run.recipe.network.allow),
    }


def restore_frontier(run: Run, frontier: Frontier) -> None:
    """Push to the frontier whatever the ledger says that the crawl still wants."""
    platform = platform_of(run.recipe)
    Committer(run, CrawlPlan(run.recipe, platform), frontier, platform).restore()


def crawl(
    run: Run,
    redis_url: str,
    *,
    limit: int | None = None,
    is_forever: bool = False,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Find videos until the recipe's target is met; run again, it goes on where it stopped.

    With a limit, stop after about so many pages: those in flight are still read. `is_forever` has it stay until it is
    told to stop, and read pages again whose media links have expired. `on_tick` is called about four times a second,
    in a thread.

    Raises SiteUnreachableError, PageChangedError or RedisUnreachableError; what was committed before stays.
    """
    platform = platform_of(run.recipe)
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    committer = Committer(run, CrawlPlan(run.recipe, platform), frontier, platform)

    def finish() -> bool:
        if not committer.is_finished:
            return False
        # Another process may have taken pages back meanwhile, to have them read again: this plan cannot know.
        again = Committer(run, CrawlPlan(run.recipe, platform), frontier, platform)
        again.restore()
        if again.is_finished:
            run.ledger.finish_stage("crawl")
        return again.is_finished

    fetch_pages(run, committer, frontier, platform, finish=finish, limit=limit, is_forever=is_forever, on_tick=on_tick)


def read_links(run: Run, redis_url: str, *, is_forever: bool = False) -> None:
    """Read pages again whose media links have expired, until none is wanted, or until it is told to stop."""
    platform = platform_of(run.recipe)
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    committer = LinkCommitter(run, frontier, platform, is_needed=lambda: is_forever)
    fetch_pages(run, committer, frontier, platform, finish=lambda: True, limit=None, on_tick=lambda: None)


def restore_links(run: Run, frontier: Frontier) -> None:
    """Push to the frontier the pages that are wanted for fresh media links."""
    LinkCommitter(run, frontier, platform_of(run.recipe), is_needed=lambda: False).restore()


def fetch_pages(
    run: Run,
    committer: Committer,
    frontier: Frontier,
    platform: Platform,
    *,
    finish: Callable[[], bool],
    limit: int | None,
    is_forever: bool = False,
    on_tick: Callable[[], None],
) -> None:
    """Fetch and read whatever the frontier has for a committer, until it wants nothing more or somebody stops us.

    `finish` is called then; it tells whether all is done. Unless a limit is set, pages whose media links have expired
    are read again beside it, until none is wanted; with `is_forever` until somebody stops us, if all is done.

    Once a process: Scrapy's reactor cannot be started again.
    """
    spiders = _Spiders(run, frontier, platform)
    is_over, is_staying = threading.Event(), threading.Event()

    def when_done() -> None:
        if finish() and is_forever:
            is_staying.set()
        is_over.set()

    def stop() -> None:
        is_over.set()
        is_staying.clear()
        spiders.stop()

    def tick() -> None:
        if spiders.error is not None:
            stop()
        on_tick()

    spiders.add(committer, limit=limit, on_tick=tick, when_done=when_done)
    if limit is None and committer.kind != LinkCommitter.kind:
        links = LinkCommitter(run, frontier, platform, is_needed=lambda: is_staying.is_set() or not is_over.is_set())
        spiders.add(links, on_tick=tick)
    # Scrapy's own handlers would cancel requests in flight; ours lets the spider commit what it has read.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    spiders.run()


class _Spiders:
    """The spiders of one process; they share its reactor and nothing else."""

    def __init__(self, run: Run, frontier: Frontier, platform: Platform) -> None:
        self._common: dict[str, Any] = {"run": run, "frontier": frontier, "platform": platform}
        self._process = AsyncCrawlerProcess(scrapy_settings(run))
        self._crawlers: list[Crawler] = []

    def add(self, committer: Committer, **options: Any) -> None:
        crawler = self._process.create_crawler(VideoSpider)
        hosts = Hosts(self._common["run"], self._common["frontier"])
        self._crawlers.append(crawler)
        self._process.crawl(crawler, **self._common, hosts=hosts, committer=committer, **options)

    def run(self) -> None:
        """Run all of them to their ends; raises what one of them could not go on for."""
        self._process.start(install_signal_handlers=False)
        _tell_stats(self._crawlers[0])
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        for spider in self._started():
            spider.stop()

    @property
    def error(self) -> Exception | None:
        return next((spider.error for spider in self._started() if spider.error is not None), None)

    def _started(self) -> list[VideoSpider]:
        return [cast("VideoSpider", crawler.spider) for crawler in self._crawlers if crawler.spider is not None]


def _tell_stats(crawler: Crawler) -> None:
    """Scrapy's own counts of this process, one event at its end; what a run has come to stands in the ledger."""
    counts = crawler.stats.get_stats() if crawler.stats is not None else {}
    told = {name.replace("/", "_"): value for name, value in counts.items() if name.startswith(_TOLD)}
    log.info("crawl_stats", **dict(sorted(told.items())))

"""Runs one collection node until the crawl is finished, is stopped, or cannot go on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, cast

import structlog
from scrapy.crawler import AsyncCrawlerProcess

from crawler.commits import Committer
from crawler.plan import CrawlPlan
from crawler.pump import IN_FLIGHT
from crawler.spiders.videos import VideoSpider
from microlens.frontier import Frontier
from microlens.hosts import Hosts
from microlens.platforms import platform_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from scrapy.crawler import Crawler

    from microlens.platforms.base import Platform
    from microlens.runs import Run

log = structlog.get_logger()

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


def crawl(run: Run, redis_url: str, *, limit: int | None = None, on_tick: Callable[[], None] = lambda: None) -> None:
    """Find videos until the recipe's target is met; run again, it goes on where it stopped.

    With a limit, stop after about so many pages: those in flight are still read. `on_tick` is called about four
    times a second, in a thread.

    Raises SiteUnreachableError, PageChangedError or RedisUnreachableError; what was committed before stays.
    """
    platform = platform_of(run.recipe)
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    committer = Committer(run, CrawlPlan(run.recipe, platform), frontier, platform)
    fetch_pages(run, committer, frontier, platform, limit=limit, on_tick=on_tick)
    if committer.is_finished:
        # Another process may have taken pages back meanwhile, to have them read again: this plan cannot know.
        again = Committer(run, CrawlPlan(run.recipe, platform), frontier, platform)
        again.restore()
        if again.is_finished:
            run.ledger.finish_stage("crawl")


def fetch_pages(
    run: Run,
    committer: Committer,
    frontier: Frontier,
    platform: Platform,
    *,
    limit: int | None,
    on_tick: Callable[[], None],
) -> None:
    """Fetch and read whatever the frontier has for a committer, until it wants nothing more or somebody stops us.

    Once a process: Scrapy's reactor cannot be started again.
    """
    process = AsyncCrawlerProcess(scrapy_settings(run))
    crawler = process.create_crawler(VideoSpider)
    process.crawl(
        crawler,
        run=run,
        platform=platform,
        frontier=frontier,
        hosts=Hosts(run, frontier),
        committer=committer,
        limit=limit,
        on_tick=on_tick,
    )

    def stop() -> None:
        if crawler.spider is not None:
            _spider(crawler).stop()

    # Scrapy's own handlers would cancel requests in flight; ours lets the spider commit what it has read.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    process.start(install_signal_handlers=False)
    _tell_stats(crawler)
    error = _spider(crawler).error
    if error is not None:
        raise error


def _tell_stats(crawler: Crawler) -> None:
    """Scrapy's own counts of this process, one event at its end; what a run has come to stands in the ledger."""
    counts = crawler.stats.get_stats() if crawler.stats is not None else {}
    told = {name.replace("/", "_"): value for name, value in counts.items() if name.startswith(_TOLD)}
    log.info("crawl_stats", **dict(sorted(told.items())))


def _spider(crawler: Crawler) -> VideoSpider:
    return cast("VideoSpider", crawler.spider)

"""Fetches home pages, video pages and related lists, and has them read by the platform's adapter."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

import structlog
from scrapy import Request, Spider

from crawler.answers import STOPPING, RefusedAnswerError, check_answer, check_tags, refused_by
from crawler.middlewares.network import ForbiddenAddressError
from crawler.middlewares.robots import ROBOTS_TXT
from crawler.pump import Pump
from crawler.visits import fitted, home_row, page_row, video_record
from microlens.errors import PageChangedError, SiteUnreachableError
from microlens.frontier import RobotsRequest, host_of
from microlens.ledger import PageRow, now_ms
from microlens.outcomes import Refusal
from microlens.platforms.base import Page
from microlens.records import Failure
from microlens.robots import RETRY_S, is_unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response
    from twisted.python.failure import Failure as TwistedFailure

    from crawler.commits import Committer
    from crawler.scheduler import FrontierScheduler
    from microlens.frontier import Frontier
    from microlens.platforms.base import ParsedVideo, Platform, VideoLink
    from microlens.records import FrontierItem
    from microlens.robots import Robots
    from microlens.runs import Run

log = structlog.get_logger()


class VideoSpider(Spider):
    name = "videos"

    def __init__(
        self,
        *,
        run: Run,
        platform: Platform,
        frontier: Frontier,
        robots: Robots,
        committer: Committer,
        limit: int | None = None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._run = run
        self._platform = platform
        self._frontier = frontier
        self.robots = robots
        self._committer = committer
        self._pump = Pump(frontier, committer, self, limit=limit, on_tick=on_tick)
        self._resting: set[str] = set()
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By host: held while its robots.txt is fetched."""
        self._clock_ms = 0
        """Redis's clock less ours."""
        self.error: Exception | None = None
        """Why the crawl stopped before its end; the caller raises it."""

    async def start(self) -> AsyncIterator[Any]:
        """Scrapy's entry: everything comes from the frontier, so nothing is yielded here."""
        self._pumping = asyncio.get_running_loop().create_task(self._work())
        return
        yield

    def stop(self) -> None:
        """Claim nothing more, commit what is read, end."""
        self._pump.stop()

    @property
    def _engine(self) -> ExecutionEngine:
        engine = self.crawler.engine
        if engine is None:
            raise RuntimeError("the spider was used outside of a running crawl")
        return engine

    async def _work(self) -> None:
        try:
            await self._pump.run()
        except Exception as error:  # noqa: BLE001 - the caller raises it, whatever it is
            self.error = error
        finally:
            cast("FrontierScheduler", self._engine.scheduler).is_finished = True
            # Left to itself, Scrapy looks whether it is idle only every five seconds.
            await self._engine.close_spider_async(reason="finished")

    # --- requests ---

    def start_item(self, item: FrontierItem, sent_ms: int) -> None:
        """Hand a leased item to the engine."""
        self._clock_ms = sent_ms - now_ms()
        told = {"item": item, "sent_ms": sent_ms}
        request = Request(item.url, callback=self.parse, errback=self.failed, cb_kwargs=told, dont_filter=True)
        self._engine.crawl(request)

    async def learn_robots(self, host: str) -> None:
        """Have a host's robots.txt fetched until it is known or given up; one fetch serves all who wait for it."""
        async with self._asking[host]:
            while not await asyncio.to_thread(self.robots.is_known, host):
                await self._fetch_robots(RobotsRequest(host, f"{host}/robots.txt"))
                if not await asyncio.to_thread(self.robots.is_known, host):
                    await asyncio.sleep(RETRY_S)

    async def fetch_robots(self, request: RobotsRequest) -> None:
        """Fetch a host's robots.txt; after too many failures an instance is unreachable, any other host is given up."""
        is_asked_for = self._asking[request.host].locked()
        async with self._asking[request.host]:
            if not is_asked_for:
                await self._fetch_robots(request)

    async def _fetch_robots(self, request: RobotsRequest) -> None:
        is_instance = request.host in map(host_of, self._run.recipe.instances)
        try:
            response = await self._engine.download_async(
                Request(request.url, dont_filter=True, meta={ROBOTS_TXT: True})
            )
            if not is_unreachable(response.status):
                await asyncio.to_thread(self.robots.remember, request.host, response.status, response.body)
                return
            cause = f"it answered {response.status}"
        except ForbiddenAddressError as error:
            if is_instance:
                raise SiteUnreachableError(
                    f"{request.url} is not fetched: {error}",
                    hint="if the site is your own, name its network under `network.allow` in the recipe",
                ) from error
            await asyncio.to_thread(self.robots.refuse, request.host)
            return
        except STOPPING:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a connection can raise
            cause = str(error) or type(error).__name__
        tries = await asyncio.to_thread(self._frontier.robots_failed, request.host, again_in_s=RETRY_S)
        if tries < self._run.recipe.politeness.max_attempts:
            return
        if not is_instance:
            # A page chose this host: it costs the links to it, not the crawl.
            await asyncio.to_thread(self.robots.refuse, request.host)
        else:
            raise SiteUnreachableError(
                f"{request.url} cannot be fetched after {tries} tries: {cause}",
                hint="check the recipe's `instances` and the network, then run the same command: nothing is lost",
            )

    async def _related_links(self, item: FrontierItem, video: ParsedVideo) -> tuple[VideoLink, ...]:
        """The page's own related links, or those of the list that it has elsewhere; none if that is refused for good.

        A refusal that may pass is raised, so that the page is tried again, as long as it has tries left.
        """
        if not self._committer.needs_related(video.like_count) or video.related_url is None:
            return video.related
        try:
            return await self._fetch_list(video.related_url)
        except RefusedAnswerError as refused:
            if not self._is_last(item, refused):
                raise
            await self._rest(item, refused, 0)
            failure = self._failure(item, refused, is_final=True)
        except PageChangedError as error:
            log.warning("page_changed", url=video.related_url, error=error.message)
            self._committer.count_changed(error)
            changed = RefusedAnswerError(Refusal("page_changed", is_final=True), status=None)
            changed.url = video.related_url
            failure = self._failure(item, changed, is_final=True)
        await asyncio.to_thread(self._run.ledger.record_failure, failure)
        return ()

    async def _fetch_list(self, url: str) -> tuple[VideoLink, ...]:
        while (wait_s := await asyncio.to_thread(self._frontier.take, host_of(url))) > 0:  # noqa: ASYNC110 - a clock in Redis
            await asyncio.sleep(wait_s)
        sent_ms = now_ms() + self._clock_ms
        try:
            try:
                response = await self._engine.download_async(Request(url, dont_filter=True))
            except Exception as error:
                raise refused_by(error) from error
            check_answer(response)
        except RefusedAnswerError as refused:
            refused.url, refused.sent_ms = url, sent_ms
            raise
        links = self._platform.parse_related(Page(url, response.body))
        await self._calm(url)
        return links

    # --- answers ---

    async def parse(self, response: Response, item: FrontierItem, sent_ms: int) -> None:
        """Read one answer; whatever happens, the pump learns that the item is off the network."""
        try:
            await self._take_in(response, item, sent_ms)
        except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
            self._pump.stop(error)
        finally:
            self._pump.finished(item.name)

    async def failed(self, failure: TwistedFailure) -> None:
        """Take what never became an answer."""
        told = failure.request.cb_kwargs  # type: ignore[attr-defined] # Scrapy puts it there
        try:
            await self._refused(told["item"], refused_by(failure.value or RuntimeError()), told["sent_ms"])
        except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
            self._pump.stop(error)
        finally:
            self._pump.finished(told["item"].name)

    async def _take_in(self, response: Response, item: FrontierItem, sent_ms: int) -> None:
        try:
            check_answer(response)
            if item.payload["page"] == "video":
                check_tags(response)
            await self._read(item, Page(item.url, response.body))
            await self._calm(item.url)
        except RefusedAnswerError as refused:
            await self._refused(item, refused, sent_ms)
        except PageChangedError as error:
            self._page_changed(item, error)
        except STOPPING:
            raise
        except Exception:
            if item.payload["page"] == "home":
                raise
            # A bug of ours or of an adapter that this page brings out: it must not end every crawl that meets it.
            log.exception("crawler_error", url=item.url)
            bug = RefusedAnswerError(Refusal("crawler_error", is_final=False), status=response.status)
            await self._refused(item, bug, sent_ms)

    async def _read(self, item: FrontierItem, page: Page) -> None:
        if item.payload["page"] == "home":
            self._committer.add_home(item.name, home_row(item, self._platform.parse_home(page)))
            return
        video = fitted(self._platform.parse_video(page))
        row = page_row(item, video, await self._related_links(item, video), self._run.recipe)
        record = video_record(self._platform.name, video, self._run.pseudonyms)
        self._committer.add_page(item.name, row, record)

    def _page_changed(self, item: FrontierItem, error: PageChangedError) -> None:
        log.warning("page_changed", url=item.url, error=error.message)
        if item.payload["page"] == "home":
            self._pump.stop(error)
            return
        try:
            self._committer.add_changed(item, error)
        except PageChangedError as too_many:
            self._pump.stop(too_many)

    async def _refused(self, item: FrontierItem, refused: RefusedAnswerError, sent_ms: int) -> None:
        await self._rest(item, refused, sent_ms)
        is_last = self._is_last(item, refused)
        await asyncio.to_thread(self._run.ledger.record_failure, self._failure(item, refused, is_final=is_last))
        if not is_last:
            await asyncio.to_thread(self._frontier.retry, item)
        elif item.payload["page"] == "home":
            self._pump.stop(
                SiteUnreachableError(
                    f"the home page {item.url} was refused {item.attempt + 1} times, the last time: {refused}",
                    hint="check the recipe's `instances` and the network, then run the same command: nothing is lost",
                )
            )
        else:
            row = PageRow(item.payload["video_id"], item.url, failure=refused.refusal.reason)
            self._committer.add_page(item.name, row)

    def _is_last(self, item: FrontierItem, refused: RefusedAnswerError) -> bool:
        return refused.refusal.is_final or item.attempt + 1 >= self._run.recipe.politeness.max_attempts

    async def _rest(self, item: FrontierItem, refused: RefusedAnswerError, sent_ms: int) -> None:
        """Let the host that asked for it rest."""
        if not refused.refusal.is_backoff:
            return
        host, wait = host_of(refused.url or item.url), refused.retry_after_s
        sent_ms = refused.sent_ms or sent_ms
        self._resting.add(host)
        rest_s = await asyncio.to_thread(self._frontier.backoff, host, sent_ms=sent_ms, retry_after_s=wait)
        log.warning("host_rests", host=host, seconds=round(rest_s, 1), reason=refused.refusal.reason)

    async def _calm(self, url: str) -> None:
        host = host_of(url)
        if host in self._resting:
            self._resting.discard(host)
            await asyncio.to_thread(self._frontier.calm, host)

    def _failure(self, item: FrontierItem, refused: RefusedAnswerError, *, is_final: bool) -> Failure:
        return Failure(
            work=item.kind,
            name=item.name,
            platform=self._platform.name,
            video_id=item.payload.get("video_id", ""),
            url=refused.url or item.url,
            reason=refused.refusal.reason,
            http_status=refused.status,
            attempt=item.attempt + 1,
            is_final=is_final,
        )

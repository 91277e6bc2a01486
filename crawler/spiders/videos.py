"""Fetches home pages, video pages and related lists, and has them read by the platform's adapter."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scrapy import Request, Spider

from crawler.answers import STOPPING, RefusedAnswerError, check_answer, check_tags, refused_by
from crawler.asking import AskedPages
from crawler.changed import ChangedPages
from crawler.commits import Outcome
from crawler.courtesy import Courtesy
from crawler.pump import Pump
from crawler.visits import fitted, home_row, page_row, video_record
from microlens.conversations import ConversationOverError
from microlens.errors import PageChangedError, SiteUnreachableError
from microlens.frontier import host_of
from microlens.ledger_rows import PageRow
from microlens.logs import log
from microlens.outcomes import HostRestsError, Refusal, policy_of
from microlens.platforms.base import Page, is_asking
from microlens.records import Failure
from microlens.robots import RETRY_S
from microlens.samples import Samples

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from scrapy.core.engine import ExecutionEngine
    from scrapy.http import Response
    from twisted.python.failure import Failure as TwistedFailure

    from crawler.commits import Committer
    from crawler.scheduler import FrontierScheduler
    from microlens.frontier import Claim, Frontier
    from microlens.hosts import Hosts
    from microlens.platforms.base import ParsedVideo, Platform, VideoLink
    from microlens.records import Caption, FrontierItem
    from microlens.runs import Run

T = TypeVar("T")
U = TypeVar("U")


class VideoSpider(Spider):
    name = "videos"

    def __init__(
        self,
        *,
        run: Run,
        platform: Platform,
        frontier: Frontier,
        hosts: Hosts,
        committer: Committer,
        limit: int | None = None,
        on_tick: Callable[[], None] = lambda: None,
        when_done: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._when_done = when_done
        self._run = run
        self._platform = platform
        self.courtesy = Courtesy(run, frontier, hosts, self._download)
        self._committer = committer
        self._samples = Samples(run.folder / "samples")
        self._pump = Pump(frontier, committer, self, limit=limit, on_tick=on_tick)
        self._changed = ChangedPages()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = AskedPages(self.courtesy, platform, frontier) if is_asking(platform) else None
        self.error: Exception | None = None
        """Why the crawl stopped before its end; the caller raises it."""

    async def start(self) -> AsyncIterator[Any]:
        """Scrapy's entry: everything comes from the frontier, so nothing is yielded here."""
        self._loop = asyncio.get_running_loop()
        self._spawn(self._work())
        return
        yield

    def stop(self) -> None:
        """Claim nothing more, commit what is read, end; may be called by a signal's handler."""
        self._pump.stop_soon()

    @property
    def _engine(self) -> ExecutionEngine:
        engine = self.crawler.engine
        if engine is None:
            raise RuntimeError("the spider was used outside of a running crawl")
        return engine

    async def _work(self) -> None:
        try:
            await asyncio.to_thread(self._pump.run)
            await asyncio.to_thread(self._when_done)
        except Exception as error:  # noqa: BLE001 - the caller raises it, whatever it is
            self.error = error
        finally:
            if self._asked is not None:
                await self._asked.conversations.close()
            cast("FrontierScheduler", self._engine.scheduler).is_finished = True
            # Left to itself, Scrapy looks whether it is idle only every five seconds.
            await self._engine.close_spider_async(reason="finished")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
                self._pump.stop(error)

        task = self._loop.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- requests ---

    def take_over(self, claim: Claim) -> None:
        """Hand leased items to the engine; called in the pump's thread."""
        self._loop.call_soon_threadsafe(self._begin_or_stop, claim)

    def _begin_or_stop(self, claim: Claim) -> None:
        try:
            self._begin(claim)
        except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
            self._pump.stop(error)

    def _begin(self, claim: Claim) -> None:
        self.courtesy.hosts.take_in(claim)
        for asked in claim.robots:
            self._spawn(self.courtesy.fetch_robots(asked))
        for item in claim.items:
            if self._asked is not None:
                self._spawn(self.parse(None, item, claim.at_ms))
                continue
            told = {"item": item, "sent_ms": claim.at_ms}
            try:
                request = Request(item.url, callback=self.parse, errback=self.failed, cb_kwargs=told, dont_filter=True)
            except ValueError:  # some page chose an address that is none
                self._spawn(self._give_up(item, claim.at_ms))
                continue
            self._engine.crawl(request)

    async def _give_up(self, item: FrontierItem, sent_ms: int) -> None:
        refused = RefusedAnswerError(Refusal("bad_address", is_final=True), status=None)
        self._pump.finished(await self._refused(item, refused, sent_ms))

    async def _download(self, request: Request) -> Response:
        return await self._engine.download_async(request)

    async def _related_links(
        self, item: FrontierItem, video: ParsedVideo
    ) -> tuple[tuple[VideoLink, ...], Failure | None]:
        """The page's own related links, or those of the list that it has elsewhere; none if that is refused."""
        if not self._committer.needs_related(video) or video.related_url is None:
            return video.related, None
        return await self._told_beside(item, "related", video.related_url, self._platform.parse_related, ())

    async def _captions(
        self, item: FrontierItem, video: ParsedVideo
    ) -> tuple[tuple[Caption, ...] | None, Failure | None]:
        """The page's own captions, or those that it tells elsewhere; None where they are refused, or nobody asked."""
        is_asked = self._run.recipe.media.captions and video.refusal is None and self._committer.needs_captions
        if video.captions is not None or video.captions_url is None or not is_asked:
            return video.captions, None
        return await self._told_beside(item, "captions", video.captions_url, self._platform.parse_captions, None)

    async def _told_beside(
        self, item: FrontierItem, kind: str, url: str, read: Callable[[Page], T], otherwise: U
    ) -> tuple[T | U, Failure | None]:
        """What an answer beside the page says; `otherwise`, and why, if it is refused for good or cannot be read.

        A refusal that may pass is raised, so that the page is tried again, as long as it has tries left.
        """
        try:
            return await self._fetch_beside(kind, url, read), None
        except RefusedAnswerError as refused:
            await self.courtesy.tell(refused, url=item.url, sent_ms=0)
            if not self._is_last(item, refused):
                raise
            return otherwise, self._failure(item, refused, is_final=True)
        except PageChangedError as error:
            log.warning("page_changed", url=url, error=error.message, hint=error.hint)
            self._changed.count_changed(error)
            changed = RefusedAnswerError(Refusal("page_changed", is_final=True), status=None)
            changed.url = url
            return otherwise, self._failure(item, changed, is_final=True)

    async def _fetch_beside(self, kind: str, url: str, read: Callable[[Page], T]) -> T:
        await self.courtesy.await_turn(url)
        sent_ms = self.courtesy.hosts.now_ms()
        try:
            try:
                response = await self._download(Request(url, dont_filter=True))
            except HostRestsError:
                raise
            except Exception as error:
                raise refused_by(error) from error
            check_answer(response)
        except RefusedAnswerError as refused:
            refused.url, refused.sent_ms = url, sent_ms
            raise
        await self.courtesy.answered(response.url)
        page = Page(url, response.body)
        with self._samples.of(kind, page):
            return read(page)

    # --- answers ---

    async def parse(self, response: Response | None, item: FrontierItem, sent_ms: int) -> None:
        """Read one answer (None: the adapter asks for it).

        The pump learns what became of the item, or why the crawl must stop.
        """
        try:
            self._pump.finished(await self._outcome(response, item, sent_ms))
        except ConversationOverError:
            return  # the crawl has ended, and the pump has given back what was leased
        except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
            self._pump.stop(error)

    async def failed(self, failure: TwistedFailure) -> None:
        """Take what never became an answer."""
        told = failure.request.cb_kwargs  # type: ignore[attr-defined] # Scrapy puts it there
        try:
            error = failure.value or RuntimeError()
            if isinstance(error, HostRestsError):
                self._pump.finished(self._given_back(told["item"], error))
                return
            refused = refused_by(error)
            refused.url = failure.request.url  # type: ignore[attr-defined] # a redirect may have led elsewhere
            self._pump.finished(await self._refused(told["item"], refused, told["sent_ms"]))
        except Exception as error:  # noqa: BLE001 - handed to the pump, which raises it
            self._pump.stop(error)

    async def _outcome(self, response: Response | None, item: FrontierItem, sent_ms: int) -> Outcome:
        try:
            if response is None:
                return await self._ask(item, cast("AskedPages", self._asked))
            check_answer(response)
            if item.payload["page"] == "video":
                check_tags(response)
            await self.courtesy.answered(response.url)
            page = Page(item.url, response.body)
            with self._samples.of(item.payload["page"], page):
                return await self._read(item, page)
        except HostRestsError as rest:
            return self._given_back(item, rest)
        except RefusedAnswerError as refused:
            refused.url = refused.url or (response.url if response is not None else None)
            return await self._refused(item, refused, sent_ms)
        except PageChangedError as error:
            return self._page_changed(item, error)
        except (*STOPPING, ConversationOverError):
            raise
        except Exception:
            if item.payload["page"] == "home":
                raise
            # A bug of ours or of an adapter that this page brings out: it must not end every crawl that meets it.
            log.exception("crawler_error", url=item.url)
            bug = RefusedAnswerError(
                Refusal("crawler_error", is_final=False), status=response.status if response else None
            )
            return await self._refused(item, bug, sent_ms)

    async def _read(self, item: FrontierItem, page: Page) -> Outcome:
        if item.payload["page"] == "home":
            return Outcome(item, home=home_row(item, self._platform.parse_home(page), self._run.recipe))
        video = fitted(self._platform.parse_video(page))
        captions, no_captions = await self._captions(item, video)
        video = replace(video, captions=captions)
        links, no_links = await self._related_links(item, video)
        return self._video(item, video, links, tuple(filter(None, (no_captions, no_links))))

    async def _ask(self, item: FrontierItem, asked: AskedPages) -> Outcome:
        if item.payload["page"] == "home":
            return Outcome(item, home=home_row(item, await asked.home(item), self._run.recipe))
        video = fitted(await asked.video(item))
        return self._video(item, video, video.related)

    def _video(
        self, item: FrontierItem, video: ParsedVideo, links: tuple[VideoLink, ...], failures: tuple[Failure, ...] = ()
    ) -> Outcome:
        row = page_row(item, video, links, self._run.recipe)
        record = video_record(self._platform.name, video, self._run.pseudonyms)
        self._changed.count_read()
        return Outcome(item, page=row, record=record, failures=failures)

    def _page_changed(self, item: FrontierItem, error: PageChangedError) -> Outcome:
        """A page that its adapter cannot read; where they are many, the pump forgets them for a mended adapter."""
        log.warning("page_changed", url=item.url, error=error.message, hint=error.hint)
        if item.payload["page"] == "home":
            raise error
        try:
            self._changed.count_changed(error)
        except PageChangedError as too_many:
            self._pump.stop(too_many)
        return Outcome(item, page=PageRow(item.payload["video_id"], item.url, failure=error.reason))

    async def _refused(self, item: FrontierItem, refused: RefusedAnswerError, sent_ms: int) -> Outcome:
        await self.courtesy.tell(refused, url=item.url, sent_ms=sent_ms)
        is_last = self._is_last(item, refused)
        failure = self._failure(item, refused, is_final=is_last)
        if not is_last and self._has_tries(item, refused.refusal.reason):
            return Outcome(item, failures=(failure,), is_again=True)
        if not is_last:
            return Outcome(item, failures=(failure,), rest_s=RETRY_S)
        if item.payload["page"] == "home":
            self._pump.stop(
                SiteUnreachableError(
                    f"the home page {item.url} was refused {item.attempt + 1} times, the last time: {refused}",
                    hint="check the recipe's `instances` and the network, then run the same command: nothing is lost",
                )
            )
            return Outcome(item, failures=(failure,), is_again=True)
        row = PageRow(item.payload["video_id"], item.url, failure=refused.refusal.reason)
        return Outcome(item, page=row, failures=(failure,))

    def _given_back(self, item: FrontierItem, rest: HostRestsError) -> Outcome:
        """Its own host's clocks keep an item; another host's rest must be waited for."""
        return Outcome(item, rest_s=0.0 if rest.host == host_of(item.url) else rest.wait_s)

    def _has_tries(self, item: FrontierItem, reason: str) -> bool:
        return item.attempt + 1 < policy_of(reason).attempts(self._run.recipe.politeness.max_attempts)

    def _is_last(self, item: FrontierItem, refused: RefusedAnswerError) -> bool:
        """Whether an item is done with for ill; never while its host rather than the item may be at fault."""
        return refused.refusal.is_final or not (self._has_tries(item, refused.refusal.reason) or refused.is_hosts_fault)

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

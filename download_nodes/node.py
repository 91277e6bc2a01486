"""One node process: claims due work, fetches, measures, stores, and commits; for a while, then gives the word back."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from download_nodes.backlog import comments_after
from download_nodes.comments import CommentCollector, CommentParts
from download_nodes.fetch import Fetcher, FetchError
from download_nodes.measure import NotMediaError, measure
from microlens.errors import MicrolensError, PageChangedError
from microlens.frontier import LEASE_S, Frontier, host_of
from microlens.ledger import now_ms
from microlens.network import NetworkPolicy
from microlens.outcomes import Refusal
from microlens.platforms import load_platform
from microlens.records import Failure, FrontierItem, WorkKind
from microlens.robots import RETRY_S, Robots, is_unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microlens.frontier import RobotsRequest
    from microlens.runs import Run

log = structlog.get_logger()

WIDTH = 24
"""Items in work at once in one process; a host's own limits are the frontier's."""

_KINDS: tuple[WorkKind, ...] = ("comments", "media")
_RENEW_S = LEASE_S / 3
_ROBOTS_TRIES = 5
_CHANGED_PAGES = 3
_CHANGED_SHARE = 0.1
_LOCAL = frozenset({"disk_full", "local_io"})
_WORTH_ASKING = WIDTH // 3
"""Free places for which Redis is asked at once; for fewer it is asked a little later."""
_ASK_EVERY_S = 0.05
_PATIENCE_S = 20.0
"""A host that rests for longer is not waited for: its item goes back, and this process does something else."""


class LocalTroubleError(MicrolensError):
    """The machine cannot go on; no item is to blame, and none counts an attempt."""


class HostRestsError(Exception):
    """The pages of an item cannot be asked for now; never leaves the node."""


class Node:
    """Must be made inside a running event loop; `close` it there."""

    def __init__(self, run: Run, redis_url: str) -> None:
        self._run = run
        self._platform = load_platform(run.recipe.platform, run.recipe.platform_options)
        self._frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        self._robots = Robots(self._frontier, run.recipe.user_agent)
        self._fetcher = Fetcher(run.recipe, NetworkPolicy(run.recipe.network.allow), self._why_not)
        self._collector = CommentCollector(run, self._platform, self._get_within_budget)
        self._parts = CommentParts(run)
        self._in_work: dict[asyncio.Task[None], FrontierItem | None] = {}
        self._resting: set[str] = set()
        self._committing: list[str] = []
        self._changed = self._read = 0
        self._clock_ms = 0
        """Redis's clock less ours."""
        self._stopping = False
        self.counts: Counter[str] = Counter()

    def stop(self) -> None:
        """Claim nothing more; finish what is in work, commit, return."""
        self._stopping = True

    async def close(self) -> None:
        await self._fetcher.close()

    async def drain(self, seconds: float) -> dict[str, int]:
        """Work for up to `seconds`, or until nothing is left to do; gives what was done, by kind."""
        self.counts = Counter()
        renewing = asyncio.create_task(self._keep_leases())
        try:
            return await self._drain_until(time.monotonic() + seconds)
        finally:
            renewing.cancel()

    async def _drain_until(self, deadline: float) -> dict[str, int]:
        wait_s, asked_again = _RENEW_S, 0.0
        while True:
            now = time.monotonic()
            is_open = not self._stopping and now < deadline
            if is_open and (now >= asked_again or WIDTH - len(self._in_work) >= _WORTH_ASKING):
                wait_s = self._claim()
                asked_again = now + min(wait_s, _ASK_EVERY_S)
            if not self._in_work:
                await self._commit_comments()
                if not is_open or self._frontier.open_count(_KINDS) == 0:
                    return dict(self.counts)
            elif self._parts.is_due():
                await self._commit_comments()
            await self._wait(min(wait_s, _ASK_EVERY_S) if self._in_work else wait_s)

    def _claim(self) -> float:
        """Take as much due work as there is room for; seconds until more may be due."""
        wait_s = _RENEW_S
        for kind in _KINDS:
            claim = self._frontier.claim(kind, WIDTH - len(self._in_work)) if len(self._in_work) < WIDTH else None
            if claim is None:
                break
            wait_s = min(wait_s, claim.wait_s)
            self._clock_ms = claim.at_ms - now_ms()
            for request in claim.robots:
                self._spawn(self._fetch_robots(request), None)
            for item in claim.items:
                work = self._fetch_media if kind == "media" else self._fetch_comments
                self._spawn(self._guarded(work, item), item)
        return wait_s

    def _spawn(self, work: Awaitable[None], item: FrontierItem | None) -> None:
        self._in_work[asyncio.ensure_future(work)] = item

    async def _wait(self, wait_s: float) -> None:
        if not self._in_work:
            await asyncio.sleep(min(wait_s, 0.25))
            return
        done, _ = await asyncio.wait(self._in_work, timeout=min(wait_s, 0.25), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            del self._in_work[task]
            task.result()

    async def _commit_comments(self) -> None:
        spools = self._parts.take()
        if spools:
            self._committing = list(spools)
            await asyncio.to_thread(self._parts.commit, spools)
            self._frontier.ack("comments", self._committing)
            self._committing = []

    async def _keep_leases(self) -> None:
        """Renew what is held, whatever the rest of the node waits for."""
        while True:
            await asyncio.sleep(_RENEW_S)
            in_work = [item for item in self._in_work.values() if item is not None]
            for kind in _KINDS:
                held = [item.name for item in in_work if item.kind == kind]
                more = [*self._parts.names, *self._committing] if kind == "comments" else []
                await asyncio.to_thread(self._frontier.renew, kind, held + more)

    # --- the work ---

    async def _guarded(self, work: Callable[[FrontierItem], Awaitable[None]], item: FrontierItem) -> None:
        """Do one item's work; whatever goes wrong costs this one item, and is written down."""
        try:
            await work(item)
            await self._calm(item)
            self.counts[item.kind] += 1
        except FetchError as error:
            if error.refusal.reason in _LOCAL:
                raise LocalTroubleError(
                    f"this node cannot store {item.url}: {error.__cause__}",
                    hint="free the disk, then run the same command: nothing is lost",
                ) from error
            if error.refusal.is_backoff:
                self._rest(item, error)
            await self._failed(item, error.refusal, status=error.status, detail=str(error.__cause__ or ""))
        except HostRestsError:
            self._frontier.give_back(item)
        except NotMediaError as error:
            await self._failed(item, Refusal("not_media", is_final=True), detail=error.message)
        except PageChangedError as error:
            log.warning("page_changed", url=item.url, error=error.message)
            await self._failed(item, Refusal("page_changed", is_final=True), detail=error.message)
            self._check_changed(error)
        except MicrolensError:
            raise
        except Exception:  # a bug met on one item must not stop the node
            log.exception("item_failed", kind=item.kind, name=item.name)
            await self._failed(item, Refusal("node_error", is_final=False), detail=traceback.format_exc())

    async def _fetch_media(self, item: FrontierItem) -> None:
        """Bytes first (temporary file, hash, measurement, rename), then the ledger, then the ack."""
        video_id, kind = item.payload["video_id"], item.payload["asset"]
        store, temporary = self._run.store, self._run.store.temporary()
        fetched = await self._fetcher.file(item.url, temporary, max_bytes=self._run.recipe.media.max_bytes)
        self._frontier.fetched("media", [item.name])
        try:
            asset = await asyncio.to_thread(
                measure,
                fetched.path,
                kind=kind,
                platform=self._platform.name,
                video_id=video_id,
                sha256=fetched.sha256,
                size_bytes=fetched.size_bytes,
            )
            await asyncio.to_thread(store.put, fetched.path, fetched.sha256)
        finally:
            temporary.unlink(missing_ok=True)
        await asyncio.to_thread(self._run.ledger.commit_asset, asset)
        if kind != "audio":
            due = await asyncio.to_thread(comments_after, self._run, self._platform, video_id)
            self._frontier.push([due] if due else [])
        self._frontier.ack("media", [item.name])
        self.counts["bytes"] += fetched.size_bytes

    def _check_changed(self, error: PageChangedError) -> None:
        """A few answers that nobody can read are dropped with that reason; many stop the node."""
        self._changed += 1
        if self._changed > _CHANGED_PAGES and self._changed > _CHANGED_SHARE * (self._read + self._changed):
            raise PageChangedError(
                f"the comments of {self._changed} videos cannot be read, so the node was stopped: {error.message}",
                hint=f"{error.hint}; then `microlens-build retry` and the same command: nothing is lost",
            )

    async def _fetch_comments(self, item: FrontierItem) -> None:
        spool = await self._collector.collect(item)
        self._read += 1
        self._frontier.fetched("comments", [item.name])
        self._parts.add(spool)
        self.counts["comment_rows"] += len(spool.rows)

    async def _get_within_budget(self, url: str, *, is_paid: bool) -> bytes:
        """A page of an item already claimed: its host's budget is asked again for every page but the first."""
        while not is_paid and (wait_s := self._frontier.take(host_of(url))) > 0:
            if wait_s > _PATIENCE_S or self._stopping:
                raise HostRestsError
            await asyncio.sleep(wait_s)
        return await self._fetcher.page(url)

    async def _failed(self, item: FrontierItem, refusal: Refusal, *, status: int | None = None, detail: str) -> None:
        is_final = refusal.is_final or item.attempt + 1 >= self._run.recipe.politeness.max_attempts
        failure = Failure(
            work=item.kind,
            name=item.name,
            platform=self._platform.name,
            video_id=item.payload["video_id"],
            url=item.url,
            reason=refusal.reason,
            http_status=status,
            attempt=item.attempt + 1,
            is_final=is_final,
            detail=detail[-2000:],
        )
        await asyncio.to_thread(self._run.ledger.record_failure, failure)
        self.counts[f"failed_{refusal.reason}"] += 1
        if is_final:
            self._frontier.ack(item.kind, [item.name])
        else:
            self._frontier.retry(item)

    # --- robots and hosts ---

    async def _fetch_robots(self, request: RobotsRequest) -> None:
        """Fetch a host's robots.txt; a host that never gives one is given up, and its items with it."""
        try:
            status, body = await self._fetcher.robots(request.url)
            if not is_unreachable(status):
                self._robots.remember(request.host, status, body)
                return
        except FetchError as error:
            log.warning("robots_unreachable", host=request.host, reason=error.refusal.reason)
        if self._frontier.robots_failed(request.host, again_in_s=RETRY_S) >= _ROBOTS_TRIES:
            self._robots.refuse(request.host)

    async def _why_not(self, url: str) -> str | None:
        """Ask robots.txt, fetching it first for a host that a redirect led to."""
        host = host_of(url)
        if self._frontier.robots(host) is None:
            status, body = await self._fetcher.robots(f"{host}/robots.txt")
            if is_unreachable(status):
                return "robots_unreachable"
            self._robots.remember(host, status, body)
        return self._robots.why_not(url)

    def _rest(self, item: FrontierItem, error: FetchError) -> None:
        host = host_of(item.url)
        self._resting.add(host)
        sent_ms = int(error.sent_ms + self._clock_ms)
        rest_s = self._frontier.backoff(host, sent_ms=sent_ms, retry_after_s=error.retry_after_s)
        log.warning("host_rests", host=host, seconds=round(rest_s, 1), reason=error.refusal.reason)

    async def _calm(self, item: FrontierItem) -> None:
        host = host_of(item.url)
        if host in self._resting:
            self._resting.discard(host)
            self._frontier.calm(host)

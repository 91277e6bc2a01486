"""One node process: claims due work, fetches, measures, stores, and commits; for a while, then gives the word back."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import structlog

from download_nodes.asking import AskingCollector, Desk
from download_nodes.backlog import comments_after
from download_nodes.budget import Budget
from download_nodes.comment_parts import CommentParts
from download_nodes.comments import CommentCollector
from download_nodes.fetch import Fetcher, FetchError
from download_nodes.links import ExpiredLinks
from download_nodes.measure import NotMediaError, measure
from microlens.backlog import asset_name
from microlens.conversations import ConversationOverError, Conversations
from microlens.errors import MicrolensError, PageChangedError
from microlens.frontier import LEASE_S, Frontier, host_of
from microlens.hosts import Hosts, await_turn
from microlens.ledger import now_ms
from microlens.network import NetworkPolicy
from microlens.outcomes import SILENCE, HostRestsError, Refusal
from microlens.platforms import platform_of
from microlens.platforms.base import is_asking
from microlens.records import Failure, FrontierItem, WorkKind
from microlens.robots import RETRY_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from microlens.hosts import RobotsOutcome
    from microlens.runs import Run

log = structlog.get_logger()

WIDTH = 48
"""Items in work at once in one process; a host's own limits are the frontier's."""
SHARE = WIDTH // 2
"""Of these at one host, at most: should it stall, the others go on."""

_KINDS: tuple[WorkKind, ...] = ("comments", "media")
_RENEW_S = LEASE_S / 3
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


class Node:
    """Must be made inside a running event loop; `close` it there."""

    def __init__(self, run: Run, redis_url: str) -> None:
        self._run = run
        self._platform = platform_of(run.recipe)
        self._frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        self._hosts = Hosts(run, self._frontier)
        self._learning: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By host: held while its robots.txt is fetched for a redirect."""
        self._fetcher = Fetcher(run.recipe, NetworkPolicy(run.recipe.network.allow), self._why_not, self._await_turn)
        self._conversations = Conversations()
        self._budget = Budget(self._frontier, run.recipe.politeness.requests_per_second, most=WIDTH)
        self._collector = self._make_collector()
        self._parts = CommentParts(run)
        self._links = ExpiredLinks(run, self._frontier)
        self._in_work: dict[asyncio.Future[object], FrontierItem | None] = {}
        self._committing: list[str] = []
        self._fetched: list[str] = []
        """Videos whose comments are read; told to the frontier with the next claim."""
        self._changed = self._read = 0
        self._stopping = False
        self.counts: Counter[str] = Counter()

    def stop(self) -> None:
        """Claim nothing more; finish what is in work, commit, return."""
        self._stopping = True
        self._conversations.stop()

    async def close(self) -> None:
        await self._conversations.close()
        await self._fetcher.close()

    def _make_collector(self) -> CommentCollector:
        if not is_asking(self._platform):
            return CommentCollector(self._run, self._platform, self._get_within_budget)
        talks, fetcher, frontier = self._conversations, self._fetcher, self._frontier
        desk = Desk(talks, fetcher, self._budget, frontier, self._tell_hosts, self._answered)
        return AskingCollector(self._run, self._platform, self._get_within_budget, desk)

    async def drain(self, seconds: float) -> dict[str, int]:
        """Work for up to `seconds`, or until nothing is left to do; gives what was done, by kind."""
        self.counts = Counter()
        renewing = asyncio.create_task(self._keep_leases())
        try:
            return await self._drain_until(time.monotonic() + seconds, renewing)
        finally:
            renewing.cancel()

    async def _drain_until(self, deadline: float, renewing: asyncio.Task[None]) -> dict[str, int]:
        wait_s, asked_again = _RENEW_S, 0.0
        while True:
            if renewing.done():
                renewing.result()  # raises what ended it: without leases nothing may go on
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
        if self._fetched:
            fetched, self._fetched = self._fetched, []
            self._frontier.fetched("comments", fetched)
        for kind in _KINDS:
            if len(self._in_work) >= WIDTH:
                break
            in_work = [item for item in self._in_work.values() if item is not None]
            in_flight = Counter(host_of(item.url) for item in in_work)
            claim = self._frontier.claim(kind, WIDTH - len(self._in_work), share=SHARE, in_flight=in_flight)
            wait_s = min(wait_s, claim.wait_s)
            self._hosts.take_in(claim)
            for request in claim.robots:
                self._spawn(self._ask_robots(request.host), None)
            held = {item.name for item in in_work if item.kind == kind}
            for item in claim.items:
                if item.name in held:
                    continue  # its lease had ended while this process slept: the work that goes on has it again
                work = self._fetch_media if kind == "media" else self._fetch_comments
                self._spawn(self._guarded(work, item), item)
        return wait_s

    def _spawn(self, work: Awaitable[object], item: FrontierItem | None) -> None:
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
            self.counts[item.kind] += 1
        except FetchError as error:
            if error.refusal.reason in _LOCAL:
                raise LocalTroubleError(
                    f"this node cannot store {item.url}: {error.__cause__}",
                    hint="free the disk, then run the same command: nothing is lost",
                ) from error
            await asyncio.to_thread(self._tell_hosts, error)
            await self._failed(item, error.refusal, detail=str(error.__cause__ or ""), fetch=error)
        except HostRestsError as rest:
            # Its own host's clocks keep an item; another host's rest must be waited for.
            self._frontier.give_back(item, after_s=0.0 if rest.host == host_of(item.url) else rest.wait_s)
        except ConversationOverError:
            self._frontier.give_back(item)
        except NotMediaError as error:
            await self._failed(item, Refusal("not_media", is_final=True), detail=error.message)
        except PageChangedError as error:
            log.warning("page_changed", url=item.url, error=error.message, hint=error.hint)
            await self._failed(item, Refusal(error.reason, is_final=True), detail=str(error))
            self._check_changed(error)
        except MicrolensError:
            raise
        except Exception:  # a bug met on one item must not stop the node
            log.exception("item_failed", kind=item.kind, name=item.name)
            await self._failed(item, Refusal("node_error", is_final=False), detail=traceback.format_exc())

    async def _fetch_media(self, item: FrontierItem) -> None:
        """Bytes first (temporary file, hash, measurement, rename), then the ledger, then the ack."""
        video_id, kind = item.payload["video_id"], item.payload["asset"]
        self._links.check(item)
        store, temporary = self._run.store, self._run.store.temporary()
        fetched = await self._fetcher.file(item.url, temporary, max_bytes=self._run.recipe.media.max_bytes)
        await self._answered(item.url)
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
        self._fetched.append(item.name)
        self._parts.add(spool)
        self.counts["comment_rows"] += len(spool.comments)

    async def _get_within_budget(self, url: str, *, is_paid: bool) -> bytes:
        """A page of an item already claimed: its host's budget is asked again for every page but the first."""
        if not is_paid:
            await self._await_turn(url)
        body = await self._fetcher.page(url)
        await self._answered(url)
        return body

    async def _await_turn(self, url: str) -> None:
        """Take one request from the budget of a URL's host; HostRestsError if that would take too long."""
        pace_s, patience_s = self._frontier.pace_s, _PATIENCE_S
        await await_turn(url, self._budget.ask, pace_s, patience_s=patience_s, check=self._give_back_if_stopping)

    def _give_back_if_stopping(self, host: str, wait_s: float) -> None:
        if self._stopping:
            raise HostRestsError(host, wait_s)

    async def _failed(
        self, item: FrontierItem, refusal: Refusal, *, detail: str, fetch: FetchError | None = None
    ) -> None:
        """Write an attempt down; the last one closes the item, unless its host rather than the item may be at fault."""
        if await asyncio.to_thread(self._links.hand_back, item, refusal, fetch.status if fetch else None):
            self.counts["failed_expired"] += 1
            return
        is_last = item.attempt + 1 >= self._run.recipe.politeness.max_attempts
        is_final = refusal.is_final or (is_last and not (fetch and fetch.is_hosts_fault))
        failure = Failure(
            work=item.kind,
            name=asset_name(item.payload["video_id"], item.payload["asset"]) if item.kind == "media" else item.name,
            platform=self._platform.name,
            video_id=item.payload["video_id"],
            url=fetch.url if fetch and fetch.url else item.url,
            reason=refusal.reason,
            http_status=fetch.status if fetch else None,
            attempt=item.attempt + 1,
            is_final=is_final,
            detail=detail[-2000:],
        )
        await asyncio.to_thread(self._run.ledger.record_failure, failure)
        self.counts[f"failed_{refusal.reason}"] += 1
        if is_final:
            self._frontier.ack(item.kind, [item.name])
        elif is_last:
            self._frontier.give_back(item, after_s=RETRY_S)
        else:
            self._frontier.retry(item)

    # --- robots and hosts ---

    async def _ask_robots(self, host: str) -> RobotsOutcome:
        """Fetch a host's robots.txt, for all machines."""
        sent_ms = self._hosts.now_ms()
        try:
            status, body = await self._fetcher.robots(f"{host}/robots.txt")
        except FetchError as error:
            return await asyncio.to_thread(
                self._hosts.robots_failed, host, error.refusal.reason, status=error.status, sent_ms=sent_ms
            )
        except HostRestsError:  # a redirect of it led to a host that rests
            if self._stopping:
                return "again"  # nobody waits any more, and the host is not to blame
            return await asyncio.to_thread(self._hosts.robots_failed, host, "host_rests", sent_ms=sent_ms)
        return await asyncio.to_thread(self._hosts.robots_answered, host, status, body, sent_ms=sent_ms)

    async def _why_not(self, url: str) -> str | None:
        """Ask robots.txt, fetching it first for a host that a redirect led to."""
        host = host_of(url)
        if self._hosts.robots.is_at_hand(host):
            return self._hosts.robots.why_not(url)
        # Where it is forgotten (it grew old, or Redis was lost) many items ask at once: one fetch serves them all.
        async with self._learning[host]:
            if not self._hosts.robots.is_known(host):
                await self._await_turn(url)
                if await self._ask_robots(host) in {"again", "parked"}:
                    raise HostRestsError(host, RETRY_S)
        return self._hosts.robots.why_not(url)

    def _tell_hosts(self, error: FetchError) -> None:
        """Have a failed fetch mean something for its host, once."""
        if error.is_hosts_fault is not None:
            return
        error.is_hosts_fault = False
        if not error.sent_ms:
            return  # nothing was sent
        sent_ms = self._hosts.now_ms() - now_ms() + error.sent_ms
        if error.refusal.is_backoff:
            self._hosts.refused(error.url, error.refusal.reason, sent_ms=sent_ms, retry_after_s=error.retry_after_s)
        elif error.refusal.reason in SILENCE and error.status is None:
            error.is_hosts_fault = self._hosts.silent(error.url, sent_ms=sent_ms)
        elif error.status is not None:
            self._hosts.answered(error.url)

    async def _answered(self, url: str) -> None:
        if self._hosts.is_news(url):
            await asyncio.to_thread(self._hosts.answered, url)

"""One answer over HTTP: a file streamed to disk with its hash on the way, or a small page in memory."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp
from aiohttp.helpers import is_ip_address
from yarl import URL

from download_nodes.bandwidth import Flow, came_bytes
from download_nodes.fetch_errors import FetchError, explained, parsing
from download_nodes.headers import address, readable
from download_nodes.hls import Means, download_pieces
from download_nodes.resolver import GuardedResolver, guarded_sockets
from download_nodes.transfer import Fetched, LeastSpeed, Source, Terms, fill, gathering
from microlens.clock import now_ms
from microlens.frontier import host_of
from microlens.outcomes import Refusal, refusal_of, retry_after_s
from microlens.platforms.base import Answer, Question
from microlens.robot_tags import forbidding_word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from download_nodes.bandwidth import Bandwidth
    from download_nodes.transfer import Accept, Headers
    from microlens.network import NetworkPolicy
    from microlens.recipe import Recipe

__all__ = ["FetchError", "Fetched", "Fetcher"]

MAX_PAGE_BYTES = 16 << 20
MAX_REDIRECTS = 5

_HOSTS = 10_000

_CHUNK_BYTES = 256 << 10
_CONNECT_S = 15.0
_CONNECTIONS_PER_HOST = 64
"""More than a node has in work at once at one host: what bounds those is the host's budget."""
_FRAMING = frozenset({"content-encoding", "content-length", "set-cookie", "transfer-encoding"})
"""Headers of an answer that say nothing once its body is read, or that are not for keeping."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class _Limits:
    """Time that one answer may take."""

    client: aiohttp.ClientTimeout
    head_s: float | None = None
    """Until its first line and headers are there, for each request; None: what `client` says."""
    deadline_s: float | None = None
    """For everything, redirects and waiting included; None: no other than that of each request."""


class Fetcher:
    """Connections, names and TLS of one node process, kept for its life."""

    def __init__(
        self,
        recipe: Recipe,
        policy: NetworkPolicy,
        why_not: Callable[[str], Awaitable[str | None]],
        await_turn: Callable[[str], Awaitable[None]],
        bandwidth: Bandwidth | None = None,
    ) -> None:
        self._bandwidth = bandwidth if bandwidth is not None and bandwidth.is_limited else None
        self._permits = lru_cache(_HOSTS)(policy.permits)
        self._why_not = why_not
        self._await_turn = await_turn
        polite, self._media = recipe.politeness, recipe.media
        self._least_bytes_per_s = polite.min_bytes_per_s
        self._page_limits = _Limits(
            aiohttp.ClientTimeout(total=polite.timeout_s, sock_connect=_CONNECT_S, sock_read=polite.idle_s)
        )
        self._file_limits = _Limits(
            aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=polite.idle_s),
            head_s=polite.timeout_s,
            deadline_s=polite.file_timeout_s,
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=_CONNECTIONS_PER_HOST,
                ttl_dns_cache=300,
                resolver=GuardedResolver(policy),
                socket_factory=guarded_sockets(policy),
            ),
            headers={"User-Agent": recipe.user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,  # a proxy would connect for us, unchecked
        )

    async def close(self) -> None:
        await self._session.close()

    async def check(self, url: str) -> None:
        """FetchError if an address or robots.txt forbids a URL."""
        await self._check_address(url)
        reason = await self._why_not(url)
        if reason is not None:
            # A robots.txt that could not be read may be read a little later.
            raise FetchError(Refusal(reason, is_final=reason != "robots_unreachable"))

    async def robots(self, url: str) -> tuple[int, bytes]:
        """Status and body of a robots.txt; raises FetchError only if there was no answer at all."""
        async with self._open(url, self._check_address) as response:
            return response.status, await self._read(response)

    async def page(self, url: str) -> bytes:
        """The body of a small answer."""
        async with self._get(url) as response:
            return await self._read(response)

    async def exchange(
        self, question: Question, await_turn: Callable[[str], Awaitable[None]]
    ) -> tuple[Answer | None, FetchError | None]:
        """A small answer, whatever its status, and why it is of no use, or why there is none.

        `await_turn` has the targets of redirects paid for, and raises whatever ends it all.
        """
        answer = None
        opened = self._open(question.url, self.check, question=question, await_turn=await_turn)
        try:
            async with opened as response:
                answer = _answer(response, await self._read(response))
                _check(response)
        except FetchError as refused:
            return answer, refused
        return answer, None

    @asynccontextmanager
    async def download(
        self, url: str, stable: Path, *, max_bytes: int, accept: Accept | None = None
    ) -> AsyncIterator[Fetched]:
        """A whole file, for the length of the block: move it away there, what is left is removed.

        A longer file (1 MiB) gathers under `stable`, a path of this URL alone; a transfer that broke off, in this
        process or in one that was killed, goes on there where the server can, and begins anew where it cannot. If
        another process is at it, this one fetches a file of its own. `accept` is shown the first HEAD_BYTES, and what
        it raises ends the transfer there. Raises FetchError; HostRestsError from `await_turn`.
        """
        get = partial(self._get, limits=self._file_limits)
        with gathering(stable) as gathered:
            with explained(url):
                async with asyncio.timeout(self._file_limits.deadline_s) as deadline:
                    terms = self._terms(max_bytes, accept, deadline)
                    fetched = await fill(Source(get, self._await_turn, url), gathered, terms)
            yield fetched

    @asynccontextmanager
    async def playlist(
        self, url: str, stable: Path, *, max_bytes: int, accept: Accept | None = None
    ) -> AsyncIterator[Fetched]:
        """Like `download`, of a video whose URL is an HLS playlist; the recipe says which of its renditions."""
        means = Means(self.page, partial(self._get, limits=self._file_limits), self._await_turn)
        async with AsyncExitStack() as stack:
            with explained(url):
                async with asyncio.timeout(self._file_limits.deadline_s) as deadline:
                    terms = self._terms(max_bytes, accept, deadline)
                    pieces = download_pieces(means, url, stable, self._media, terms)
                    fetched = await stack.enter_async_context(pieces)
            yield fetched

    def _terms(self, max_bytes: int, accept: Accept | None, deadline: asyncio.Timeout) -> Terms:
        flow = Flow(self._bandwidth, deadline)
        return Terms(max_bytes, LeastSpeed(self._least_bytes_per_s, flow.clock), flow, accept)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """A small body; where there is a limit it is paid for afterwards: no time of the answer's passes meanwhile."""
        if self._bandwidth is None:
            return await _read(response)
        url = str(response.url)
        try:
            body = await _read(response)
        finally:
            self._bandwidth.charge(url, came_bytes(response))
        await self._bandwidth.settle(url)
        return body

    @asynccontextmanager
    async def _get(
        self, url: str, headers: Headers = (), *, limits: _Limits | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A usable answer."""
        question = Question(url, headers=headers)
        async with self._open(url, self.check, limits=limits, question=question) as response:
            _check(response)
            _check_tags(response)
            yield response

    @asynccontextmanager
    async def _open(
        self,
        url: str,
        check: Callable[[str], Awaitable[None]],
        *,
        limits: _Limits | None = None,
        question: Question | None = None,
        await_turn: Callable[[str], Awaitable[None]] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Any answer; redirects are followed by hand: each target must be allowed anew, and paid for at its own host.

        Whatever goes wrong, in the caller's block too, becomes a FetchError.
        """
        asked, await_turn, limits = (
            question or Question(url),
            await_turn or self._await_turn,
            limits or self._page_limits,
        )
        for step in range(MAX_REDIRECTS + 1):
            with explained(asked.url):
                await check(asked.url)
                if step > 0:  # the first was paid for by whoever asks
                    await await_turn(asked.url)
            with explained(asked.url, now_ms()):
                async with asyncio.timeout(limits.head_s):
                    response = await self._session.request(
                        asked.method,
                        asked.url,
                        headers=asked.headers,
                        data=asked.body,
                        allow_redirects=False,
                        timeout=limits.client,
                    )
                async with response:
                    if response.status not in _REDIRECTS:
                        yield response
                        return
                    with parsing():
                        target = urljoin(asked.url, address(response.headers.get("Location", "")))
                        asked = _redirected(asked, target, response.status)
        raise FetchError(Refusal("too_many_redirects", is_final=True))

    async def _check_address(self, url: str) -> None:
        # Read as aiohttp reads it: a host may be an address in an odd spelling (full-width digits, percent signs).
        with parsing():
            parts, _ = URL(url), host_of(url)
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise FetchError(Refusal("forbidden_address", is_final=True))
        # Earlier than its socket would be refused, and before robots.txt is asked for.
        if is_ip_address(parts.raw_host) and not self._permits(parts.host):
            raise FetchError(Refusal("forbidden_address", is_final=True))


def _redirected(asked: Question, url: str, status: int) -> Question:
    """The request that a redirect asks for (RFC 9110, section 15.4); what is meant for one host is not told another."""
    to_get = (status == HTTPStatus.SEE_OTHER and asked.method != "HEAD") or (
        status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND} and asked.method == "POST"
    )
    dropped = {"content-type"} if to_get else set()
    if host_of(url) != host_of(asked.url):
        dropped.add("authorization")
    headers = tuple(pair for pair in asked.headers if pair[0].lower() not in dropped)
    return Question(url, "GET" if to_get else asked.method, headers, None if to_get else asked.body)


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    told = ((readable(name), readable(value)) for name, value in response.headers.items())
    headers = tuple((name, value) for name, value in told if name.lower() not in _FRAMING)
    return Answer(str(response.url), response.status, headers, body)


def _check(response: aiohttp.ClientResponse) -> None:
    refusal = refusal_of(response.status)
    if refusal is not None:
        wait_s = retry_after_s(response.headers.get("Retry-After"))
        raise FetchError(refusal, status=response.status, retry_after_s=wait_s)


def _check_tags(response: aiohttp.ClientResponse) -> None:
    word = forbidding_word(response.headers.getall("X-Robots-Tag", []))
    if word is not None:
        raise FetchError(Refusal(f"robots_{word}", is_final=True), status=response.status)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            raise FetchError(Refusal("too_large", is_final=True), status=response.status)
    return bytes(body)

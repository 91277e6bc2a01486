"""One answer over HTTP: a file streamed to disk with its hash on the way, or a small page in memory."""

from __future__ import annotations

import errno
import hashlib
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import aiohttp

from download_nodes.resolver import ForbiddenAddressError, GuardedResolver
from microlens.frontier import host_of
from microlens.ledger import now_ms
from microlens.outcomes import Refusal, RefusedError, refusal_of, retry_after_s
from microlens.platforms.base import Answer, Question
from microlens.robot_tags import forbidding_word

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from microlens.network import NetworkPolicy
    from microlens.recipe import Recipe

MAX_PAGE_BYTES = 16 << 20
MAX_REDIRECTS = 5

_HOSTS = 10_000

_CHUNK_BYTES = 256 << 10
_CONNECT_S = 15.0
_IDLE_S = 20.0
"""A transfer that brings nothing for so long is given up, whatever its deadline."""
_FILE_DEADLINE_S = 3600.0
_SLOW_AFTER_S = 30.0
_LEAST_BYTES_PER_S = 8_000
"""A file may take its time, but not trickle: after half a minute it must have come at this rate."""
_FRAMING = frozenset({"content-encoding", "content-length", "set-cookie", "transfer-encoding"})
"""Headers of an answer that say nothing once its body is read, or that are not for keeping."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# The first that fits: aiohttp's classes are each other's children, and some are OSErrors or TimeoutErrors too.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "dns"),
    (aiohttp.ClientSSLError, "tls"),
    (ssl.SSLError, "tls"),
    (aiohttp.ClientPayloadError, "truncated"),
    (aiohttp.ClientConnectorError, "connection_refused"),
    (aiohttp.InvalidURL, "bad_address"),
    (aiohttp.ClientError, "connection_lost"),
    (ValueError, "bad_address"),
)


class FetchError(RefusedError):
    """A fetch that brought nothing usable; never leaves the node."""

    def __init__(self, refusal: Refusal, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{refusal.reason} ({status})" if status else refusal.reason)
        self.url = ""
        """What was asked for at last: a redirect may have led to another host. Empty if nothing was sent."""
        self.sent_ms = 0
        """When that was, on this machine's clock."""
        self.refusal = refusal
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete file at a temporary path."""

    path: Path
    sha256: str
    size_bytes: int


class Fetcher:
    """Connections, names and TLS of one node process, kept for its life."""

    def __init__(
        self,
        recipe: Recipe,
        policy: NetworkPolicy,
        why_not: Callable[[str], Awaitable[str | None]],
        await_turn: Callable[[str], Awaitable[None]],
    ) -> None:
        self._permits = lru_cache(_HOSTS)(policy.permits)
        self._why_not = why_not
        self._await_turn = await_turn
        self._page_limits = aiohttp.ClientTimeout(
            total=recipe.politeness.timeout_s, sock_connect=_CONNECT_S, sock_read=_IDLE_S
        )
        self._file_limits = aiohttp.ClientTimeout(total=_FILE_DEADLINE_S, sock_connect=_CONNECT_S, sock_read=_IDLE_S)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, resolver=GuardedResolver(policy)),
            headers={"User-Agent": recipe.user_agent},
            cookie_jar=aiohttp.DummyCookieJar(),
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
            return response.status, await _read(response)

    async def page(self, url: str) -> bytes:
        """The body of a small answer."""
        async with self._get(url) as response:
            return await _read(response)

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
                answer = _answer(response, await _read(response))
                _check(response)
        except FetchError as refused:
            return answer, refused
        return answer, None

    async def file(self, url: str, path: Path, *, max_bytes: int) -> Fetched:
        """Stream an answer to `path`; the file is removed again if anything is wrong with it."""
        try:
            async with self._get(url, limits=self._file_limits) as response:
                return await _stream(response, path, max_bytes)
        except BaseException:
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - one system call
            raise

    @asynccontextmanager
    async def _get(
        self, url: str, *, limits: aiohttp.ClientTimeout | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A usable answer."""
        async with self._open(url, self.check, limits=limits) as response:
            _check(response)
            _check_tags(response)
            yield response

    @asynccontextmanager
    async def _open(
        self,
        url: str,
        check: Callable[[str], Awaitable[None]],
        *,
        limits: aiohttp.ClientTimeout | None = None,
        question: Question | None = None,
        await_turn: Callable[[str], Awaitable[None]] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Any answer; redirects are followed by hand: each target must be allowed anew, and paid for at its own host.

        Whatever goes wrong, in the caller's block too, becomes a FetchError.
        """
        asked, await_turn = question or Question(url), await_turn or self._await_turn
        for step in range(MAX_REDIRECTS + 1):
            with _explained(asked.url):
                await check(asked.url)
                if step > 0:  # the first was paid for by whoever asks
                    await await_turn(asked.url)
            with _explained(asked.url, now_ms()):
                async with self._session.request(
                    asked.method,
                    asked.url,
                    headers=asked.headers,
                    data=asked.body,
                    allow_redirects=False,
                    timeout=limits or self._page_limits,
                ) as response:
                    if response.status not in _REDIRECTS:
                        yield response
                        return
                    target = urljoin(asked.url, response.headers.get("Location", ""))
                    asked = _redirected(asked, target, response.status)
        raise FetchError(Refusal("too_many_redirects", is_final=True))

    async def _check_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise FetchError(Refusal("forbidden_address", is_final=True))
        # aiohttp does not resolve an address that is a number already, so the resolver never sees it.
        if _is_literal(parts.hostname) and not self._permits(parts.hostname):
            raise FetchError(Refusal("forbidden_address", is_final=True))


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


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
    headers = tuple((name, value) for name, value in response.headers.items() if name.lower() not in _FRAMING)
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


async def _stream(response: aiohttp.ClientResponse, path: Path, max_bytes: int) -> Fetched:
    if (response.content_length or 0) > max_bytes:
        raise FetchError(Refusal("too_large", is_final=True), status=response.status)
    digest, size, began = hashlib.sha256(), 0, time.monotonic()
    with path.open("wb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            elapsed_s = time.monotonic() - began
            if elapsed_s > _SLOW_AFTER_S and size < elapsed_s * _LEAST_BYTES_PER_S:
                raise FetchError(Refusal("too_slow", is_final=False), status=response.status)
            if size > max_bytes:
                raise FetchError(Refusal("too_large", is_final=True), status=response.status)
            digest.update(chunk)
            file.write(chunk)
    declared = response.headers.get("Content-Length")
    if declared is not None and "Content-Encoding" not in response.headers and int(declared) != size:
        raise FetchError(Refusal("truncated", is_final=False), status=response.status)
    return Fetched(path, digest.hexdigest(), size)


@contextmanager
def _explained(url: str, sent_ms: int = 0) -> Iterator[None]:
    """Turn what aiohttp raises into a FetchError with a reason, and note what had been asked for."""
    try:
        yield
    except FetchError as error:
        error.url, error.sent_ms = error.url or url, error.sent_ms or sent_ms
        raise
    except Exception as error:
        reason = _reason(error)
        failed = FetchError(Refusal(reason, is_final=reason in {"forbidden_address", "bad_address"}))
        failed.url, failed.sent_ms = url, sent_ms
        raise failed from error


def _reason(error: Exception) -> str:
    if _is_forbidden(error):
        return "forbidden_address"
    for kind, word in _REASONS:
        if isinstance(error, kind):
            return word
    if isinstance(error, OSError):
        return "disk_full" if error.errno == errno.ENOSPC else "local_io"
    raise error


def _is_forbidden(error: Exception) -> bool:
    return isinstance(error, ForbiddenAddressError) or isinstance(
        getattr(error, "os_error", None), ForbiddenAddressError
    )

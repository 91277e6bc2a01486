"""One file over HTTP, streamed to disk: hashed on the way, measured in speed, taken up again where it broke off."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from download_nodes.fetch_errors import LOCAL, FetchError
from download_nodes.headers import readable
from download_nodes.partial import OVERLAP_BYTES, Partial
from download_nodes.ranges import body_bytes, has_end, is_compressed, is_rest, is_whole, origin_of, span_of
from microlens.outcomes import HostRestsError, Refusal
from microlens.sniff import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aiohttp import ClientResponse

    from download_nodes.bandwidth import Flow
    from download_nodes.partial import Mark

    Headers = tuple[tuple[str, str], ...]
    Get = Callable[[str, Headers], AbstractAsyncContextManager[ClientResponse]]
    """Opens a usable answer to a request with these headers."""
    Accept = Callable[[bytes], None]
    """Is shown the first bytes of a file, at most HEAD_BYTES, and raises if they are not what is wanted."""

WINDOW_S = 30.0
"""The least speed is asked for over so long: a transfer may pause, but not trickle."""
MOST_RATIO = 100
"""A compressed body may grow to so many times its size; media, compressed already, hardly grow at all."""

_RATIO_FROM_BYTES = 1 << 20
_MARK_EVERY_S = 1.0
_LEAST_PART_BYTES = 256 << 10
"""A server that gives less of a rest at a time has broken off; one that gives more is asked on at once."""
PLAIN: Headers = (("Accept-Encoding", "identity"),)
"""Media are compressed already, and a range of a compressed body is a range of something else."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete file at a temporary path."""

    path: Path
    sha256: str
    size_bytes: int
    take: Callable[[], Path]
    """Hands the file over under a name of its own; what is not taken is removed."""
    url: str = ""
    """Where it was at last: redirects are followed."""
    etag: str | None = None
    resumed_bytes: int = 0
    """Of these bytes so many came in an earlier try."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a file must keep to."""

    max_bytes: int
    least_speed: LeastSpeed
    flow: Flow
    accept: Accept | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """An address, and what asks it; a request is paid for by `await_turn`, the first one by whoever asks."""

    get: Get
    await_turn: Callable[[str], Awaitable[None]]
    url: str


class LeastSpeed:
    """Sees that a file comes at the least speed, over each WINDOW_S seconds and not only from its start.

    One for all bodies that a file is made of, one after the other; the time between them does not count.
    """

    def __init__(self, least_bytes_per_s: float, clock: Callable[[], float]) -> None:
        self._least = least_bytes_per_s
        self._clock = clock
        self._began = clock()
        self._spent_s, self._came_bytes = 0.0, 0
        self._marks = deque([(0.0, 0)])

    def begin(self) -> None:
        """Another body begins."""
        self._began = self._clock() - self._spent_s

    def check(self, more_bytes: int) -> None:
        """So much more came; FetchError `too_slow`, which is not final, if that is too little of late."""
        now = self._spent_s = self._clock() - self._began
        self._came_bytes += more_bytes
        if now - self._marks[-1][0] < _MARK_EVERY_S:
            return
        self._marks.append((now, self._came_bytes))
        while self._marks[1][0] <= now - WINDOW_S:
            self._marks.popleft()
        began, had = self._marks[0]
        if now - began >= WINDOW_S and self._came_bytes - had < self._least * (now - began):
            raise FetchError(Refusal("too_slow", is_final=False))


class _NotTheRestError(Exception):
    """What was to follow the bytes that are there does not; all must be asked for anew."""


async def fill(source: Source, partial: Partial, terms: Terms) -> Fetched:
    """Fetch a file, or its rest, and see that it is whole; each request but the first is paid for."""
    if partial.size_bytes > terms.max_bytes or partial.origin is None:
        partial.restart()
    had, overlap_bytes = partial.size_bytes, OVERLAP_BYTES
    while partial.size_bytes:
        behind = await _go_back(partial, overlap_bytes)
        try:
            async with _rest(source, partial) as response:
                if response.status != HTTPStatus.PARTIAL_CONTENT:  # it ignores ranges, or the file has changed
                    return await _fill_whole(source, response, partial, terms)
                if await _append_rest(response, partial, replace(terms, accept=_same(behind))):
                    return _fetched(response, partial, resumed_bytes=had)
        except _NotTheRestError:
            partial.restart()
        overlap_bytes = 0  # what follows on a rest that was the right one follows in the same process
        await source.await_turn(source.url)
    async with source.get(source.url, PLAIN) as response:
        return await _fill_whole(source, response, partial, terms)


def may_go_on(error: BaseException) -> bool:
    """Whether what came before a failure is of use to the next try."""
    if isinstance(error, FetchError):
        return not error.refusal.is_final and error.refusal.reason not in LOCAL
    return isinstance(error, (HostRestsError, asyncio.CancelledError))


@contextmanager
def gathering(stable: Path) -> Iterator[Partial]:
    """A partial file for the length of the block; what breaks there leaves it to the next try, if that could use it."""
    partial = Partial(stable)
    try:
        yield partial
    except BaseException as error:
        if may_go_on(error):
            partial.leave()
        else:
            partial.drop()
        raise
    partial.drop()


async def _fill_whole(source: Source, response: ClientResponse, partial: Partial, terms: Terms) -> Fetched:
    partial.restart()
    partial.open()
    if not is_whole(response):
        raise _truncated(response)
    partial.set_origin(origin_of(response) if has_end(response) else None)
    start = partial.mark()
    await pour(response, partial, terms)
    if not has_end(response):
        await source.await_turn(source.url)
        async with source.get(source.url, PLAIN) as again:
            await agree(again, partial, start, terms)
    return _fetched(response, partial)


async def _go_back(partial: Partial, overlap_bytes: int) -> bytes:
    """Have a rest begin a little before the end of what is there; gives the bytes that are to come once more."""
    if not overlap_bytes:
        return b""
    return await partial.go_back(max(0, partial.size_bytes - overlap_bytes))


@asynccontextmanager
async def _rest(source: Source, partial: Partial) -> AsyncIterator[ClientResponse]:
    """The answer to a request for what is missing: a rest, or a part of it, or the file anew."""
    assert partial.origin is not None, "what comes from nowhere has no rest"
    start, origin = partial.size_bytes, partial.origin
    headers = (*PLAIN, ("Range", f"bytes={start}-"), ("If-Range", origin.validator))
    try:
        async with source.get(source.url, headers) as response:
            if response.status == HTTPStatus.PARTIAL_CONTENT and not is_rest(response, origin, start):
                raise _NotTheRestError
            yield response
    except FetchError as error:
        if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _NotTheRestError from error
        raise


async def _append_rest(response: ClientResponse, partial: Partial, terms: Terms) -> bool:
    """Write a rest, or the part of it that a server gives at a time; True if the file ends with it."""
    span, origin, had = span_of(response), partial.origin, partial.size_bytes
    assert span is not None, "it has been seen to be a rest"
    assert origin is not None, "what comes from nowhere has no rest"
    total = span.total if origin.total is None else origin.total
    partial.cut()
    partial.set_origin(replace(origin, total=total))
    await pour(response, partial, terms)
    is_all = partial.size_bytes == total
    if not is_all and partial.size_bytes - had < _LEAST_PART_BYTES:
        raise _truncated(response)
    return is_all


async def agree(again: ClientResponse, partial: Partial, start: Mark, terms: Terms) -> None:
    """Take once more what has come since `start`, where nothing but the end of its connection told that it was all.

    FetchError `truncated` if other bytes come: one of the two at least was cut short.
    """
    came = partial.size_bytes, partial.digest.digest()
    partial.rewind(start)
    await pour(again, partial, terms)
    if came != (partial.size_bytes, partial.digest.digest()):
        raise _truncated(again)


class Sink(Protocol):
    """What takes a body."""

    size_bytes: int

    def write(self, chunk: bytes) -> None: ...


async def pour(response: ClientResponse, partial: Sink, terms: Terms) -> None:
    """Append a body to a file that may have `max_bytes` in all."""
    accept, max_bytes = terms.accept, terms.max_bytes
    if (response.content_length or 0) > max_bytes - partial.size_bytes:
        raise _too_large(response)
    head, is_wanted, came = b"", accept is None, 0
    may_grow, expected = is_compressed(response), body_bytes(response)
    terms.least_speed.begin()
    async for chunk in terms.flow.chunks(response):
        came += len(chunk)
        if partial.size_bytes + len(chunk) > max_bytes:
            raise _too_large(response)
        if may_grow and came > _RATIO_FROM_BYTES and came > MOST_RATIO * response.content.total_raw_bytes:
            raise _too_large(response)
        if accept and not is_wanted:
            head += chunk[: HEAD_BYTES - len(head)]
            is_wanted = len(head) >= HEAD_BYTES
            if is_wanted:
                accept(head)
        partial.write(chunk)
        terms.least_speed.check(len(chunk))
    terms.least_speed.check(0)  # its end may have kept us waiting
    if accept and not is_wanted:
        accept(head)
    if expected not in {None, came}:
        raise _truncated(response)


def _fetched(response: ClientResponse, partial: Partial, *, resumed_bytes: int = 0) -> Fetched:
    partial.done()
    etag = readable(response.headers.get("ETag", "")) or None
    path, sha256, size_bytes = partial.path, partial.digest.hexdigest(), partial.size_bytes
    return Fetched(path, sha256, size_bytes, partial.take, str(response.url), etag, resumed_bytes)


def _too_large(response: ClientResponse) -> FetchError:
    return FetchError(Refusal("too_large", is_final=True), status=response.status)


def _truncated(response: ClientResponse) -> FetchError:
    return FetchError(Refusal("truncated", is_final=False), status=response.status)


def _same(behind: bytes) -> Accept:
    """See that a rest begins as what is there ends: some servers count from elsewhere, whatever they say."""

    def accept(head: bytes) -> None:
        if head[: len(behind)] != behind[: len(head)]:
            raise _NotTheRestError

    return accept

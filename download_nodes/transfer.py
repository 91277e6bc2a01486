"""One file over HTTP, streamed to disk: hashed on the way, measured in speed, taken up again where it broke off."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from download_nodes.fetch_errors import LOCAL, FetchError
from download_nodes.partial import OVERLAP_BYTES, Origin, Partial
from download_nodes.sniff import HEAD_BYTES
from microlens.outcomes import HostRestsError, Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from aiohttp import ClientResponse

    from download_nodes.bandwidth import Flow

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
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
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
    least_bytes_per_s: float
    flow: Flow
    accept: Accept | None = None


class Pace:
    """Sees that a body comes at the least speed, over each WINDOW_S seconds and not only from its start."""

    def __init__(self, least_bytes_per_s: float, clock: Callable[[], float]) -> None:
        self._least = least_bytes_per_s
        self._clock = clock
        self._marks = deque([(clock(), 0)])

    def check(self, came_bytes: int) -> None:
        """FetchError `too_slow`, which is not final, if too little came of late."""
        now = self._clock()
        if now - self._marks[-1][0] < _MARK_EVERY_S:
            return
        self._marks.append((now, came_bytes))
        while self._marks[1][0] <= now - WINDOW_S:
            self._marks.popleft()
        began, had = self._marks[0]
        if now - began >= WINDOW_S and came_bytes - had < self._least * (now - began):
            raise FetchError(Refusal("too_slow", is_final=False))


class _NotTheRestError(Exception):
    """What was to follow the bytes that are there does not; all must be asked for anew."""


async def fill(
    get: Get,
    await_turn: Callable[[str], Awaitable[None]],
    url: str,
    partial: Partial,
    terms: Terms,
) -> Fetched:
    """Fetch a file, or its rest; a second request, where the first brought no rest, is paid for by `await_turn`."""
    if partial.size_bytes > terms.max_bytes or partial.origin is None:
        partial.restart()
    if partial.size_bytes:
        try:
            return await _fetch_rest(get, url, partial, terms)
        except _NotTheRestError:
            partial.restart()
            await await_turn(url)
    async with get(url, PLAIN) as response:
        return await _fetch_whole(response, partial, terms)


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


async def _fetch_whole(response: ClientResponse, partial: Partial, terms: Terms) -> Fetched:
    if response.status == HTTPStatus.PARTIAL_CONTENT and span_of(response) != (0, response.content_length):
        raise FetchError(Refusal("truncated", is_final=False), status=response.status)
    partial.open()
    partial.set_origin(_origin(response))
    await pour(response, partial, terms)
    return _fetched(response, partial)


async def _fetch_rest(get: Get, url: str, partial: Partial, terms: Terms) -> Fetched:
    assert partial.origin is not None, "what comes from nowhere has no rest"
    had = partial.size_bytes
    start = max(0, had - OVERLAP_BYTES)
    behind = await asyncio.to_thread(partial.go_back, start)
    headers = (*PLAIN, ("Range", f"bytes={start}-"), ("If-Range", partial.origin.validator))
    try:
        async with get(url, headers) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:  # it ignores ranges, or the file has changed
                partial.restart()
                return await _fetch_whole(response, partial, terms)
            if not _is_rest(response, partial.origin, start):
                raise _NotTheRestError
            partial.cut()
            await pour(response, partial, replace(terms, accept=_same(behind)))
            return _fetched(response, partial, resumed_bytes=had)
    except FetchError as error:
        if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _NotTheRestError from error
        raise


async def pour(response: ClientResponse, partial: Partial, terms: Terms) -> None:
    """Append a body to a file that may have `max_bytes` in all."""
    accept, max_bytes = terms.accept, terms.max_bytes
    if (response.content_length or 0) > max_bytes - partial.size_bytes:
        raise _too_large(response)
    head, is_wanted, came = b"", accept is None, 0
    is_compressed = "Content-Encoding" in response.headers
    pace = Pace(terms.least_bytes_per_s, terms.flow.clock)
    async for chunk in terms.flow.chunks(response):
        came += len(chunk)
        if partial.size_bytes + len(chunk) > max_bytes:
            raise _too_large(response)
        if is_compressed and came > _RATIO_FROM_BYTES and came > MOST_RATIO * response.content.total_raw_bytes:
            raise _too_large(response)
        if accept and not is_wanted:
            head += chunk[: HEAD_BYTES - len(head)]
            is_wanted = len(head) >= HEAD_BYTES
            if is_wanted:
                accept(head)
        partial.write(chunk)
        pace.check(came)
    if accept and not is_wanted:
        accept(head)
    if not is_compressed and came != int(response.headers.get("Content-Length", came)):
        raise FetchError(Refusal("truncated", is_final=False), status=response.status)


def _fetched(response: ClientResponse, partial: Partial, *, resumed_bytes: int = 0) -> Fetched:
    total = partial.origin and partial.origin.total
    if total is not None and partial.size_bytes != total:
        raise FetchError(Refusal("truncated", is_final=False), status=response.status)
    partial.done()
    etag = response.headers.get("ETag")
    path, sha256, size_bytes = partial.path, partial.digest.hexdigest(), partial.size_bytes
    return Fetched(path, sha256, size_bytes, partial.take, str(response.url), etag, resumed_bytes)


def _too_large(response: ClientResponse) -> FetchError:
    return FetchError(Refusal("too_large", is_final=True), status=response.status)


# --- what may be taken up again ---


def _origin(response: ClientResponse) -> Origin | None:
    """What a rest of this answer can be asked for by; None: nothing that is sure to mean the same bytes."""
    validator = _validator(response)
    if validator is None or "Content-Encoding" in response.headers:
        return None
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        return Origin(validator, span_of(response)[1])
    return Origin(validator, response.content_length)


def _validator(response: ClientResponse) -> str | None:
    """A strong ETag, else a Last-Modified that is (RFC 9110, section 8.8.2.2: a second or more before Date)."""
    etag = response.headers.get("ETag", "")
    if etag.startswith('"') and etag.endswith('"') and len(etag) > 1:
        return etag
    changed, sent = response.headers.get("Last-Modified", ""), response.headers.get("Date", "")
    try:
        is_strong = parsedate_to_datetime(sent) - parsedate_to_datetime(changed) >= timedelta(seconds=1)
    except (ValueError, TypeError, OverflowError):
        return None
    return changed if is_strong else None


def span_of(response: ClientResponse) -> tuple[int | None, int | None]:
    """First byte and total of a Content-Range; None for what it does not say."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _is_rest(response: ClientResponse, origin: Origin, start: int) -> bool:
    first, total = span_of(response)
    if first != start or "Content-Encoding" in response.headers:
        return False
    if origin.total is not None and total is not None and total != origin.total:
        return False
    return _validator(response) in {None, origin.validator}


def _same(behind: bytes) -> Accept:
    """See that a rest begins as what is there ends: some servers count from elsewhere, whatever they say."""

    def accept(head: bytes) -> None:
        if head[: len(behind)] != behind[: len(head)]:
            raise _NotTheRestError

    return accept

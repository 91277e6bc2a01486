"""What an answer says of its bytes: where in the file they lie, where they end, what their rest is asked for by."""

from __future__ import annotations

import re
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from download_nodes.partial import Origin

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)

_DECODED = {"gzip", "deflate", "br", "zstd"}
"""What aiohttp decompresses."""


class Span(NamedTuple):
    """A Content-Range (RFC 9110, section 14.4) that can be true."""

    first: int
    last: int
    """Both count from 0, and both are there."""
    total: int | None
    """Bytes of the whole file; None: the server does not know."""

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    @property
    def is_to_end(self) -> bool:
        return self.total == self.last + 1


def span_of(response: ClientResponse) -> Span | None:
    """The range that an answer says it is; None if it says none, or one that cannot be."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != HTTPStatus.PARTIAL_CONTENT or match is None:
        return None
    span = Span(int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3]))
    return span if span.first <= span.last and (span.total is None or span.last < span.total) else None


def is_compressed(response: ClientResponse) -> bool:
    """Whether what is read is other than what was sent; `identity`, `utf-8` and the like change nothing."""
    return any(told.lower() in _DECODED for told in response.headers.getall("Content-Encoding", ()))


def is_whole(response: ClientResponse) -> bool:
    """Whether an answer to a request for a file is meant to be all of it."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return True
    span = span_of(response)
    return span is not None and span.first == 0 and is_end(response)


def is_end(response: ClientResponse) -> bool:
    """Whether an answer says that it is the end of a file, however much of it."""
    span = span_of(response)
    return span is not None and span.is_to_end and not is_compressed(response)


def is_rest(response: ClientResponse, origin: Origin, start: int) -> bool:
    """Whether an answer is of the file that we have a part of, from `start` on; it may end before the file does."""
    span = span_of(response)
    if span is None or span.first != start or is_compressed(response):
        return False
    totals = {span.total, origin.total} - {None}
    # Where nobody knows how long the file is, nobody can tell when it has come.
    return len(totals) == 1 and validator_of(response) in {None, origin.validator}


def body_bytes(response: ClientResponse) -> int | None:
    """Bytes that are to come out of an answer; None: it does not say."""
    if is_compressed(response):
        return None
    span = span_of(response)
    return response.content_length if span is None else span.length


def has_end(response: ClientResponse) -> bool:
    """Whether a body that was cut short is sure to be found out.

    One that ends with its connection (RFC 9112, section 6.3) may have been cut anywhere, and for the decompressors a
    stream without its end is as good as whole.
    """
    is_framed = (
        response.content_length is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    )
    return not is_compressed(response) and (is_framed or span_of(response) is not None)


def origin_of(response: ClientResponse) -> Origin | None:
    """What a rest of this answer can be asked for by; None: nothing that is sure to mean the same bytes."""
    validator = validator_of(response)
    return None if validator is None or is_compressed(response) else Origin(validator, body_bytes(response))


def validator_of(response: ClientResponse) -> str | None:
    """A strong ETag, else a Last-Modified that is (RFC 9110, section 8.8.2.2: a second or more before Date)."""
    etag = response.headers.get("ETag", "")
    # What is not ASCII may be any bytes, which cannot be sent back as they came.
    if etag.startswith('"') and etag.endswith('"') and len(etag) > 1 and etag.isascii():
        return etag
    changed, sent = response.headers.get("Last-Modified", ""), response.headers.get("Date", "")
    try:
        is_strong = parsedate_to_datetime(sent) - parsedate_to_datetime(changed) >= timedelta(seconds=1)
    except (ValueError, TypeError, OverflowError):
        return None
    return changed if is_strong and changed.isascii() else None

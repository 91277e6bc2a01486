"""Why a fetch brought nothing usable, in one word, whichever library's exception told it."""

from __future__ import annotations

import errno
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp

from download_nodes.resolver import ForbiddenAddressError
from microlens.outcomes import Refusal, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL = frozenset({"disk_full", "local_io"})
"""Reasons that lie in this machine, not in what was asked for."""

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


@contextmanager
def parsing() -> Iterator[None]:
    """FetchError `bad_address` for a ValueError, where an address is taken apart; anywhere else one is a bug."""
    try:
        yield
    except ValueError as error:
        raise FetchError(Refusal("bad_address", is_final=True)) from error


@contextmanager
def explained(url: str, sent_ms: int = 0) -> Iterator[None]:
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
        return "disk_full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "local_io"
    raise error


def _is_forbidden(error: Exception) -> bool:
    return isinstance(error, ForbiddenAddressError) or isinstance(
        getattr(error, "os_error", None), ForbiddenAddressError
    )

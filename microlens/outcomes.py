"""What an HTTP answer means for the work that asked: a reason, and whether another try can help."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_LONGEST_S = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer is of no use."""

    reason: str
    """snake_case word, the same in the ledger, the funnel and the verdicts."""
    is_final: bool
    """No later try can mend it."""
    is_backoff: bool = False
    """The host asks to be left alone for a while."""


class RefusedError(Exception):
    """An answer that cannot be used, or none at all; each stage that fetches has its own, which never leaves it."""

    refusal: Refusal
    is_hosts_fault: bool | None = None
    """Whether the host rather than the item seems to be at fault; None until the host's book is asked."""


class HostRestsError(Exception):
    """A host that an item needs cannot be asked for longer than is worth waiting; never leaves a stage."""

    def __init__(self, host: str, wait_s: float) -> None:
        super().__init__(f"{host} rests for {wait_s:.0f} s")
        self.host = host
        self.wait_s = wait_s


PASSING = frozenset(
    {
        "connection_lost",
        "connection_refused",
        "crawler_error",
        "dns",
        "extractor_broken",
        "node_error",
        "page_changed",
        "rate_limited",
        "robots_unreachable",
        "server_error",
        "timeout",
        "tls",
        "too_slow",
        "truncated",
    }
)
"""Reasons that may be gone tomorrow: such failures are tried again when an unfinished run goes on, or by `retry`."""

SILENCE = frozenset({"connection_lost", "connection_refused", "dns", "timeout", "tls"})
"""Reasons for which no answer came at all: where they go on, the host is at fault and not what was asked of it."""

_BY_STATUS: dict[int, Refusal] = {
    HTTPStatus.NOT_FOUND: Refusal("gone", is_final=True),
    HTTPStatus.GONE: Refusal("gone", is_final=True),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: Refusal("gone", is_final=True),
    HTTPStatus.UNAUTHORIZED: Refusal("private", is_final=True),
    HTTPStatus.FORBIDDEN: Refusal("private", is_final=True),
    HTTPStatus.REQUEST_TIMEOUT: Refusal("timeout", is_final=False),
    HTTPStatus.TOO_MANY_REQUESTS: Refusal("rate_limited", is_final=False, is_backoff=True),
    HTTPStatus.SERVICE_UNAVAILABLE: Refusal("server_error", is_final=False, is_backoff=True),
}


def refusal_of(status: int) -> Refusal | None:
    """None for an answer that can be used; 429 and 503 also rest the host (RFC 9110, RFC 6585)."""
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return None
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refusal("server_error", is_final=False)
    return Refusal("bad_status", is_final=True)


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After in either form (RFC 9110, section 10.2.3); zero, the past and junk are None.

    A host that asks for longer than a month is asked again after a month.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_S) or None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(seconds, _LONGEST_S) if seconds > 0 else None

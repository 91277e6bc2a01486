"""What an HTTP answer means for the work that asked: a reason, and whether another try can help."""

from __future__ import annotations

import random
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

    def __init__(self, host: str, wait_s: float, *, is_unknown: bool = False) -> None:
        super().__init__(f"{host} rests for {wait_s:.0f} s")
        self.host = host
        self.wait_s = wait_s
        self.is_unknown = is_unknown
        """Nobody has ever had an answer from it: it may not exist."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When another try makes sense after a failure of one class."""

    is_passing: bool = True
    """The cause may be gone tomorrow: tried again when `run` or an unfinished crawl goes on, or by `retry`."""
    patience: float = 1.0
    """Tries of one item, in multiples of the recipe's `max_attempts`."""
    first_s: float = 0.5
    """Seconds before the second try; each further one waits twice as long."""
    longest_s: float = 128.0

    def attempts(self, max_attempts: int) -> int:
        """How often an item may fail so before it is given up; at least once."""
        return max(1, round(max_attempts * self.patience))

    def delay_s(self, attempt: int) -> float:
        """Seconds before the next try of an item that had failed `attempt` times before; no two wait alike."""
        return float(min(self.first_s * 2 ** min(attempt, 16), self.longest_s)) * random.uniform(0.75, 1.25)


_FINAL = RetryPolicy(is_passing=False)

POLICIES: dict[str, RetryPolicy] = {
    # The connection: brief troubles are over soon, names and certificates are not mended in seconds.
    "connection_lost": RetryPolicy(),
    "connection_refused": RetryPolicy(first_s=1.0),
    "dns": RetryPolicy(first_s=2.0),
    "tls": RetryPolicy(patience=0.5, first_s=2.0),
    "timeout": RetryPolicy(first_s=1.0),
    # The transfer: what was cut off goes on where it stopped, what trickles will trickle again.
    "truncated": RetryPolicy(first_s=0.25),
    "too_slow": RetryPolicy(patience=0.5, first_s=8.0),
    # The host: it says itself that it is not the item's fault, and its own clock keeps it.
    "rate_limited": RetryPolicy(patience=4.0, first_s=1.0),
    "server_error": RetryPolicy(),
    # While that verdict on a host holds (robots.UNREACHABLE_S) no try can bring anything.
    "robots_unreachable": RetryPolicy(patience=0.5, first_s=400.0, longest_s=1600.0),
    # Ourselves and our adapters: mended by people.
    "crawler_error": RetryPolicy(),
    "extractor_broken": RetryPolicy(),
    "node_error": RetryPolicy(),
    "page_changed": RetryPolicy(),
    # What the site says for good. `retry --reason` still opens them, after a limit or a link's reading has changed.
    "bad_address": _FINAL,
    "bad_playlist": _FINAL,
    "bad_status": _FINAL,
    "drm": _FINAL,
    "encrypted": _FINAL,
    "forbidden_address": _FINAL,
    "geo_blocked": _FINAL,
    "gone": _FINAL,
    "live": _FINAL,
    "needs_browser": _FINAL,
    "not_media": _FINAL,
    "not_one_video": _FINAL,
    "private": _FINAL,
    "robots": _FINAL,
    "sensitive": _FINAL,
    "too_large": _FINAL,
    "too_many_redirects": _FINAL,
    "unavailable": _FINAL,
    "unsupported_address": _FINAL,
}
"""By class of failure. A refusal that is final in itself is never tried again by the process that met it."""

PASSING = frozenset(reason for reason, policy in POLICIES.items() if policy.is_passing)
"""Reasons that may be gone tomorrow: tried again when `run` or an unfinished crawl goes on, or by `retry`."""

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


def policy_of(reason: str) -> RetryPolicy:
    """What is done about a class of failure; adapters and robots tags bring words of their own, which are for good."""
    return POLICIES.get(reason, _FINAL)


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

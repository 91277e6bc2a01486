"""Scrapy's answers and failures in the words of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
)

from crawler.middlewares.robots import ForbiddenByRobotsError
from microlens.outcomes import Refusal, refusal_of, retry_after_s
from microlens.robot_tags import forbidding_word, meta_tags

if TYPE_CHECKING:
    from scrapy.http import Response

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (CannotResolveHostError, "dns"),
    (DownloadTimeoutError, "timeout"),
    (DownloadConnectionRefusedError, "connection_refused"),
    (DownloadCancelledError, "too_large"),
)


class RefusedAnswerError(Exception):
    """An answer that cannot be used; never leaves the crawler."""

    def __init__(self, refusal: Refusal, *, status: int | None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{refusal.reason} ({status})" if status else refusal.reason)
        self.refusal = refusal
        self.status = status
        self.retry_after_s = retry_after_s


def check_answer(response: Response) -> None:
    """Raise RefusedAnswerError unless the answer can be read."""
    refusal = refusal_of(response.status)
    if refusal is not None:
        header = response.headers.get("Retry-After")
        wait_s = retry_after_s(header.decode("latin-1")) if header else None
        raise RefusedAnswerError(refusal, status=response.status, retry_after_s=wait_s)


def check_tags(response: Response) -> None:
    """Raise RefusedAnswerError if the page asks not to be collected; the reason names its word."""
    headers = [value.decode("latin-1") for value in response.headers.getlist("X-Robots-Tag")]
    word = forbidding_word([*headers, *meta_tags(response.body)])
    if word is not None:
        raise RefusedAnswerError(Refusal(f"robots_{word}", is_final=True), status=response.status)


def refused_by(error: BaseException) -> RefusedAnswerError:
    """What never became an answer, as one that may be tried again."""
    if isinstance(error, ForbiddenByRobotsError):
        return RefusedAnswerError(Refusal("robots", is_final=True), status=None)
    if isinstance(error, IgnoreRequest):
        return RefusedAnswerError(Refusal("forbidden_address", is_final=True), status=None)
    reason = next((word for kind, word in _REASONS if isinstance(error, kind)), "connection_lost")
    return RefusedAnswerError(Refusal(reason, is_final=False), status=None)

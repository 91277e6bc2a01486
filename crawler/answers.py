"""Scrapy's answers and failures in the words of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis
import sqlalchemy as sa
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
)

from crawler.middlewares.network import ForbiddenAddressError
from crawler.middlewares.robots import ForbiddenByRobotsError
from microlens.errors import MicrolensError
from microlens.outcomes import Refusal, RefusedError, refusal_of, retry_after_s
from microlens.robot_tags import forbidding_word, meta_tags

if TYPE_CHECKING:
    from scrapy.http import Response

STOPPING = (MicrolensError, redis.RedisError, sa.exc.SQLAlchemyError)
"""Errors that are no page's fault: the crawl stops."""

_REFUSALS: tuple[tuple[type[BaseException], Refusal], ...] = (
    (CannotResolveHostError, Refusal("dns", is_final=False)),
    (DownloadTimeoutError, Refusal("timeout", is_final=False)),
    (DownloadConnectionRefusedError, Refusal("connection_refused", is_final=False)),
    (DownloadCancelledError, Refusal("too_large", is_final=True)),
    (ForbiddenAddressError, Refusal("forbidden_address", is_final=True)),
    # Scrapy's own: too many redirects, or an answer that grows without end when it is unpacked.
    (IgnoreRequest, Refusal("bad_status", is_final=True)),
)
_LOST = Refusal("connection_lost", is_final=False)


class RefusedAnswerError(RefusedError):
    """An answer that cannot be used; never leaves the crawler."""

    def __init__(self, refusal: Refusal, *, status: int | None, retry_after_s: float | None = None) -> None:
        super().__init__(f"{refusal.reason} ({status})" if status else refusal.reason)
        self.refusal = refusal
        self.status = status
        self.retry_after_s = retry_after_s
        self.url: str | None = None
        """What was asked for, where it was not the page itself."""
        self.sent_ms: int | None = None
        """When that was, on Redis's clock."""


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
    """What never became an answer, in the ledger's words; raises the error itself if it must stop the crawl."""
    if isinstance(error, STOPPING):
        raise error
    if isinstance(error, ForbiddenByRobotsError):
        # Final even where robots.txt could not be read: `microlens-build retry` opens such a page again.
        return RefusedAnswerError(Refusal(error.reason, is_final=True), status=None)
    refusal = next((refusal for kind, refusal in _REFUSALS if isinstance(error, kind)), _LOST)
    return RefusedAnswerError(refusal, status=None)

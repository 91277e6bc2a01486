"""What yt-dlp's errors mean: the site refuses, nothing came back, or the extractor no longer reads the site."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from yt_dlp.networking.exceptions import HTTPError, RequestError
from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError, UserNotLive
from yt_dlp.version import __version__ as library_version

from microlens.errors import ExtractorBrokenError, MicrolensError
from microlens.outcomes import Refusal, refusal_of
from microlens.platforms.base import NoAnswerError, UnavailableError
from microlens.platforms.ytdlp.handler import AnswerResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

UNSUPPORTED = Refusal("unsupported_address", is_final=True)
GEO_BLOCKED = Refusal("geo_blocked", is_final=True)
LIVE = Refusal("live", is_final=True)
_BAD_STATUS = Refusal("bad_status", is_final=True)
_NEEDS_BROWSER = Refusal("needs_browser", is_final=True)
"""A WebSocket, a proxy, a browser's handshake: the handler here is none of them."""
_UNAVAILABLE = Refusal("unavailable", is_final=True)

_BY_KIND = {GeoRestrictedError: GEO_BLOCKED, UserNotLive: LIVE, UnsupportedError: UNSUPPORTED}

_SAID: tuple[tuple[str, Refusal], ...] = (
    (
        r"not a (?:ro)?bot|rate.?limit|too many requests|try again later|captcha",
        Refusal("rate_limited", is_final=False, is_backoff=True),
    ),
    (r"geo.?(?:restrict|block)|\b(?:your|this) (?:country|region|location)\b", GEO_BLOCKED),
    (r"age.?restrict|confirm your age|adults? only", Refusal("sensitive", is_final=True)),
    (r"\bdrm\b", Refusal("drm", is_final=True)),
    (r"impersonat", _NEEDS_BROWSER),
    (r"\bpremieres? in\b|\blive event will\b|\bis (?:not )?(?:currently )?live\b|\boffline\b", LIVE),
    (
        r"\bprivate\b|\blog.?in\b|\bsign.?in\b|registered users|members.only|password|subscri|premium|purchase|cookies",
        Refusal("private", is_final=True),
    ),
    (
        r"removed|deleted|terminated|no longer|not exist|n't exist|not found|\bbanned\b|suspended",
        Refusal("gone", is_final=True),
    ),
)
"""Words of errors that an extractor expects, the first that fits: it repeats what the site says."""


def broken(url: str, what: str) -> ExtractorBrokenError:
    """The error for a page that yt-dlp does not read."""
    return ExtractorBrokenError(
        f"yt-dlp {library_version} cannot read {url}: {what}",
        hint="the site has changed: `pip install -U yt-dlp`, and if that is the newest, wait for its next release",
    )


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what an extractor raises into UnavailableError, NoAnswerError or ExtractorBrokenError."""
    try:
        yield
    except (UnavailableError, NoAnswerError, MicrolensError):
        raise
    except Exception as error:
        raise _meaning(url, error) from error


def _meaning(url: str, error: Exception) -> Exception:
    cause = _network_cause(error)
    said = _BY_KIND.get(type(error)) or _said(error, cause)
    if said is not None:
        return UnavailableError(said)
    if isinstance(cause, HTTPError) and isinstance(cause.response, AnswerResponse):
        return UnavailableError(refusal_of(cause.status) or _BAD_STATUS, answer=cause.response.answer)
    if isinstance(cause, NoAnswerError):
        return cause
    if isinstance(error, RequestError):
        return UnavailableError(_NEEDS_BROWSER)
    if isinstance(error, ExtractorError) and error.expected:
        return UnavailableError(_UNAVAILABLE)
    return broken(url, str(getattr(error, "orig_msg", "")) or repr(error))


def _said(error: Exception, cause: BaseException | None) -> Refusal | None:
    """What an error repeats of the site's own words; one that only says that a request failed has none."""
    if not isinstance(error, ExtractorError) or not error.expected:
        return None
    message = str(error.orig_msg)
    if cause is not None and str(cause) in message:
        return None
    return next((refusal for words, refusal in _SAID if re.search(words, message, re.IGNORECASE)), None)


def _network_cause(error: BaseException) -> BaseException | None:
    """The innermost error of the network that another one was raised for."""
    seen: BaseException | None = error
    found = None
    for _ in range(8):
        if seen is None:
            break
        if isinstance(seen, (HTTPError, NoAnswerError)):
            found = seen
        cause = getattr(seen, "cause", None)
        seen = cause if isinstance(cause, BaseException) else seen.__cause__
    return found

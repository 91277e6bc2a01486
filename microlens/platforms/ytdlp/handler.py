"""The one way out that yt-dlp is given: each of its requests becomes a question."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag

from yt_dlp.networking.common import Request, RequestHandler, Response
from yt_dlp.networking.exceptions import HTTPError, TransportError, UnsupportedRequest

from microlens.platforms.base import NoAnswerError, Question

if TYPE_CHECKING:
    from microlens.platforms.base import Answer, Ask

_NOT_SENT = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "host",
        "te",
        "transfer-encoding",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-real-ip",
    }
)
"""What says who or where we are, which is the recipe's business, or how the connection works."""
_DISGUISES = ("proxy-", "sec-", "ytdl")
_KNOWN_EXTENSIONS = ("cookiejar", "keep_header_casing", "legacy_ssl", "timeout")


class AnswerResponse(Response):
    """An answer as yt-dlp reads it."""

    def __init__(self, answer: Answer) -> None:
        headers: dict[str, str] = {}
        for name, value in answer.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        super().__init__(io.BytesIO(answer.body), answer.url, headers, answer.status)
        self.answer = answer


class AskRH(RequestHandler):
    """Takes http(s) alone; no proxies, no cookies, no disguise."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")

    def __init__(self, *, ask: Ask, **options: Any) -> None:
        super().__init__(**options)
        self._ask = ask

    def _check_proxies(self, proxies: dict[str, str | None]) -> None:
        if any(proxies.values()):
            raise UnsupportedRequest("proxies are not used")

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        for name in _KNOWN_EXTENSIONS:
            extensions.pop(name, None)

    def _send(self, request: Request) -> Response:
        # Only what the extractor itself set: yt-dlp's own headers are a browser's.
        headers = tuple((name, value) for name, value in request.headers.items() if _is_sent(name))
        question = Question(urldefrag(request.url).url, request.method, headers, _body(request.data))
        try:
            response = AnswerResponse(self._ask(question))
        except NoAnswerError as error:
            raise TransportError(str(error), cause=error) from error
        if not 200 <= response.status < 300:  # noqa: PLR2004 - success, RFC 9110
            raise HTTPError(response)
        return response


def _is_sent(name: str) -> bool:
    return name.lower() not in _NOT_SENT and not name.lower().startswith(_DISGUISES)


def _body(data: Any) -> bytes | None:
    if data is None or isinstance(data, bytes):
        return data
    return data.read() if hasattr(data, "read") else b"".join(data)

"""One page for one look: a saved file, or one polite request."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from protego import Protego

from microlens import __version__
from microlens.errors import MicrolensError, RecipeError, SiteUnreachableError
from microlens.network import NetworkPolicy
from microlens.platforms.base import Answer, NoAnswerError, Page
from microlens.platforms.document import Document
from microlens.platforms.fields import origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message
    from http.client import HTTPMessage

    from microlens.platforms.base import Question

MAX_BYTES = 16 << 20
TIMEOUT_S = 30.0
_PAUSE_S = 1.0


class RobotsRefusalError(MicrolensError):
    """The site's robots.txt asks us not to fetch a page."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"robots.txt of {origin(url)} does not let microlens-build fetch {url}",
            hint="save the page in a browser and give the file, or choose another page",
        )


def get_page(url: str, *, contact: str | None, address: str | None) -> Page:
    """Read a saved page, or fetch one as robots.txt allows; `address` is where a saved one came from."""
    if urlsplit(url).scheme in {"http", "https"}:
        return PageFetcher(contact).fetch(url)
    path = Path(url)
    try:
        body = path.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"the saved page {url} cannot be read: {error.strerror}",
            hint="give a file, or an address with http:// or https://",
        ) from error
    return Page(address or _address_told(body) or path.resolve().as_uri(), body)


def _address_told(body: bytes) -> str | None:
    """The address that a saved page gives as its own."""
    told = Document(Page("", body)).told.values("page_url")
    return next((str(value) for _, value in told if str(value).startswith(("http://", "https://"))), None)


class PageFetcher:
    """Asks each host for its robots.txt before anything else, on redirects too; certificates are checked."""

    def __init__(self, contact: str | None) -> None:
        if contact is None or ("@" not in contact and "://" not in contact):
            raise RecipeError(
                f"a page is fetched only with a contact in the User-Agent, and --contact is {contact!r}",
                hint="add --contact with your e-mail address or web page, or give a saved page",
            )
        self._user_agent = f"microlens-build/{__version__} (+{contact})"
        self._rules: dict[str, Protego | None] = {}
        self._pages = urllib.request.build_opener(_Redirects(self.check))
        self._asked = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Redirects(self._check_asked))
        self._robots = urllib.request.build_opener(_Redirects(_check_scheme))

    def fetch(self, url: str) -> Page:
        self.check(url)
        status, body = self._get(self._pages, url)
        if status != HTTPStatus.OK:
            raise SiteUnreachableError(f"{url} answered with status {status}", hint="check the address in a browser")
        return Page(url, body)

    def ask(self, question: Question) -> Answer:
        """Answer an adapter that asks, a request a second; NoAnswerError where robots.txt or the network forbids it."""
        headers = {**dict(question.headers), "User-Agent": self._user_agent}
        try:
            self._check_asked(question.url)
            time.sleep(_PAUSE_S)
            request = urllib.request.Request(question.url, question.body, headers, method=question.method)  # noqa: S310 - checked
            with self._asked.open(request, timeout=TIMEOUT_S) as answer:
                return _answer(answer.url, answer.status, answer.headers, answer.read(MAX_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.url, error.code, error.headers, error.read(MAX_BYTES + 1))
        except (MicrolensError, OSError, ValueError) as error:
            raise NoAnswerError(str(error)) from error

    def check(self, url: str) -> None:
        """RobotsRefusalError if the host does not want this page fetched."""
        _check_scheme(url)
        host = origin(url)
        if host not in self._rules:
            self._rules[host] = self._ask_robots(host)
        rules = self._rules[host]
        if rules is not None and not rules.can_fetch(url, "microlens-build"):
            raise RobotsRefusalError(url)

    def _check_asked(self, url: str) -> None:
        self.check(url)
        _check_public(url)

    def _ask_robots(self, host: str) -> Protego | None:
        """Read robots.txt as RFC 9309 has it: a client error allows everything, a server error nothing."""
        from microlens.robots import MAX_BODY_BYTES, is_no_rule, is_unreachable

        status, body = self._get(self._robots, f"{host}/robots.txt")
        if is_unreachable(status):
            raise SiteUnreachableError(
                f"{host}/robots.txt answered with status {status}, so nothing may be fetched", hint="try again later"
            )
        return None if is_no_rule(status) else Protego.parse(body[:MAX_BODY_BYTES].decode("utf-8-sig", "replace"))

    def _get(self, opener: urllib.request.OpenerDirector, url: str) -> tuple[int, bytes]:
        request = urllib.request.Request(url, headers={"User-Agent": self._user_agent})  # noqa: S310 - http(s) only
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                body = answer.read(MAX_BYTES + 1)
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""
        except (OSError, ValueError) as error:
            raise SiteUnreachableError(f"{url} cannot be fetched: {error}", hint="check the address") from error
        if len(body) > MAX_BYTES:
            raise SiteUnreachableError(f"{url} is longer than {MAX_BYTES:,} bytes", hint="choose another page")
        return status, body


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect before it is checked."""

    def __init__(self, check: Callable[[str], None]) -> None:
        self._check = check

    def redirect_request(  # noqa: PLR0917 - the library's own signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self._check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _answer(url: str, status: int, headers: Message, body: bytes) -> Answer:
    if len(body) > MAX_BYTES:
        raise NoAnswerError(f"{url} is longer than {MAX_BYTES:,} bytes")
    return Answer(url, status, tuple(headers.items()), body)


def _check_public(url: str) -> None:
    """An extractor follows a page's links, and one may point inside our network."""
    host = urlsplit(url).hostname or ""
    policy = NetworkPolicy(())
    if not all(policy.permits(str(found[4][0])) for found in socket.getaddrinfo(host, None)):
        raise NoAnswerError(f"{host} lies in a network that is not public")


def _check_scheme(url: str) -> None:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise SiteUnreachableError(f"a redirect leads to {url}, which is no web page", hint="give another address")

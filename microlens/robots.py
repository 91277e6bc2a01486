"""robots.txt as RFC 9309 has it: cached for a day, a client error allows everything, a server error nothing.

Nothing turns this off. The rules are shared through the frontier, so that one machine asks for all, and every fetch
is written in the ledger.
"""

from __future__ import annotations

import hashlib
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from protego import Protego

from microlens.frontier import host_of
from microlens.host_ledger import RobotsFetch

if TYPE_CHECKING:
    from microlens.frontier import Frontier
    from microlens.host_ledger import HostLedger

LIFETIME_S = 24 * 3600.0
"""RFC 9309, section 2.4, lets nobody use a copy for longer."""
RETRY_S = 2.0
UNREACHABLE_S = 300.0
"""So long nothing is asked of a host that gave no robots.txt; its items are tried again after that, and not before."""
MAX_BODY_BYTES = 512_000
"""RFC 9309, section 2.5, asks for at least 500 KiB."""

_REREAD_S = 60.0
_MAX_DELAY_S = 600.0


class _Rules(NamedTuple):
    """A host's rules, as they were read from Redis."""

    read_at: float
    status: int
    digest: bytes
    """Of the text: what is the same is not parsed anew, which takes half a second for half a megabyte."""
    parsed: Protego


class Robots:
    """Decides what a host's robots.txt lets this user agent fetch."""

    def __init__(self, frontier: Frontier, user_agent: str, ledger: HostLedger) -> None:
        self._frontier = frontier
        self._ledger = ledger
        # Groups are chosen by the product token alone (RFC 9309, section 2.2.1): the contact could name another's.
        self._product = user_agent.partition("/")[0]
        self._rules: dict[str, _Rules] = {}

    def is_known(self, host: str) -> bool:
        """Whether a host's rules are known; the frontier claims nothing of a host before they are."""
        return host in self._rules or self._frontier.robots(host) is not None

    def is_at_hand(self, host: str) -> bool:
        """Whether `why_not` answers for this host at once; else it may ask Redis, and parse, and is for a thread."""
        known = self._rules.get(host)
        return known is not None and _is_fresh(known)

    def why_not(self, url: str) -> str | None:
        """None if a URL may be fetched; `robots` where rules forbid it, `robots_unreachable` where there are none."""
        host = host_of(url)
        rules = self._rules.get(host)
        # Another process may have fetched it anew since: what it got holds for all.
        if rules is None or not _is_fresh(rules):
            known = self._frontier.robots(host)
            if known is None:
                self._rules.pop(host, None)
                return "robots_unreachable"
            rules = self._rules[host] = _read(*known, before=rules)
        if is_unreachable(rules.status):
            return "robots_unreachable"
        return None if is_no_rule(rules.status) or rules.parsed.can_fetch(url, self._product) else "robots"

    def remember(self, host: str, status: int, body: bytes) -> bool:
        """Keep a fetched robots.txt (a status below 500) and obey its crawl delay; True if the host had been parked."""
        body = body[:MAX_BODY_BYTES]
        text = body.decode("utf-8-sig", errors="replace")  # a BOM would hide the first line
        rules = _read(status, text)
        delay_s = min(max(float(rules.parsed.crawl_delay(self._product) or 0.0), 0.0), _MAX_DELAY_S)
        self._ledger.record_robots(RobotsFetch(host, status, body, LIFETIME_S, delay_s))
        was_parked = self._frontier.set_robots(host, status=status, body=text, lifetime_s=LIFETIME_S, delay_s=delay_s)
        self._rules[host] = rules
        return was_parked

    def refuse(self, host: str) -> None:
        """A host that gives no robots.txt may not be asked for anything for a while (RFC 9309, section 2.3.1.4)."""
        self._rules.pop(host, None)
        status = HTTPStatus.SERVICE_UNAVAILABLE
        self._frontier.set_robots(host, status=status, body="", lifetime_s=UNREACHABLE_S, delay_s=0.0, is_answer=False)


def _read(status: int, text: str, before: _Rules | None = None) -> _Rules:
    """Rules that are read now; what was parsed `before` is kept if it is the same."""
    text = "" if is_no_rule(status) else text
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    parsed = before.parsed if before is not None and before.digest == digest else Protego.parse(text)
    return _Rules(time.monotonic(), status, digest, parsed)


def _is_fresh(rules: _Rules) -> bool:
    return time.monotonic() - rules.read_at <= _REREAD_S


def is_no_rule(status: int) -> bool:
    """True for the answers that mean "there is no robots.txt here" (RFC 9309, section 2.3.1.3)."""
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and not is_unreachable(status)


def is_unreachable(status: int) -> bool:
    """True for the answers after which nothing may be fetched until a later try succeeds."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS

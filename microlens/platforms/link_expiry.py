"""What the address of a file tells of its own end: sites sign their media links for minutes or hours.

    absolute    ?expires=1772366400   ?e=1772366400000   ?oe=69A42A40 (hexadecimal)   ?se=2026-03-01T12:00:00Z
    with parts  ?auth_key=1772366400-0-0-5d41402a   ?hdnts=st=1~exp=1772366400~hmac=5d41   /exp=1772366400~hmac=5d/a.mp4
    relative    ?X-Amz-Date=20260301T110000Z&X-Amz-Expires=3600   (and the same with X-Goog-)

A number is a moment only if it is one of this century's years to come or just past: `e=5` says nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from microlens.platforms import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOMENTS = frozenset(
    {"e", "exp", "expire", "expires", "expiry", "expiration", "expires_at", "expires-at", "x-expires", "auth_key", "se"}
)
_HEXADECIMAL = frozenset({"oe", "txtime", "wstime"})
_SIGNATURES = frozenset(
    {
        "auth_key", "hash", "hdnea", "hdnts", "hmac", "key-pair-id", "md5", "oh", "policy", "sig", "sign", "signature",
        "token", "txsecret", "verify", "wssecret", "x-amz-signature", "x-goog-signature", "x-signature",
    }
)  # fmt: skip
_WITHIN = re.compile(r"(?:~exp=|[/=]exp=(?=\d+~))(\d{10,13})")
"""Akamai's tokens hold their own fields, in a parameter or in the path."""
_TOKEN = re.compile(r"exp=\d{10,13}~|~hmac=")
_HMAC = re.compile(r"[~/]hmac=[0-9a-f]{8}", re.IGNORECASE)
_EARLIEST_MS, _LATEST_MS = 1_262_304_000_000, 4_102_444_800_000
"""2010 and 2100."""


def expiry_of(url: str) -> int | None:
    """When a link ends by its own address, milliseconds since 1970; the earliest, should it name several moments."""
    return min((ms for ms in _moments(url) if _EARLIEST_MS <= ms < _LATEST_MS), default=None)


def is_signed(url: str) -> bool:
    """Whether an address carries a signature: then it may end without saying when."""
    return any(name in _SIGNATURES for name in _query(url)) or _HMAC.search(unquote(url)) is not None


def unsigned(url: str) -> str:
    """Path and query without what is signed for a while: the same for what lies there, however long it holds."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:  # a broken IPv6 address, or too many fields
        return url
    *folders, name = parts.path.split("/")
    kept = urlencode([pair for pair in pairs if not _passes(*pair)])
    return "/".join([*(folder for folder in folders if not _TOKEN.search(unquote(folder))), name]) + f"?{kept}"


def _passes(name: str, value: str) -> bool:
    """Whether a parameter is a signature, or the moment until which one holds."""
    name = name.lower()
    return (
        name in _SIGNATURES
        or name.startswith(("x-amz-", "x-goog-"))
        or (name in _MOMENTS and any(_absolute(value)))
        or (name in _HEXADECIMAL and re.fullmatch(r"[0-9a-fA-F]{8}", value) is not None)
        or _TOKEN.search(value) is not None
    )


def _moments(url: str) -> Iterator[int]:
    query = _query(url)
    for name, value in query.items():
        if name in _MOMENTS:
            yield from _absolute(value)
        elif name in _HEXADECIMAL and re.fullmatch(r"[0-9a-fA-F]{8}", value):
            yield int(value, 16) * 1000
    for vendor in ("amz", "goog"):
        yield from _relative(query.get(f"x-{vendor}-date", ""), query.get(f"x-{vendor}-expires", ""))
    for number in _WITHIN.findall(unquote(url)):
        yield from _absolute(number)


def _absolute(value: str) -> Iterator[int]:
    """Seconds, milliseconds, or ISO 8601; of `1772366400-0-0-5d41402a` the first part."""
    number = value.partition("-")[0]
    if re.fullmatch(r"\d{10}", number, re.ASCII):
        yield int(number) * 1000
    elif re.fullmatch(r"\d{13}", number, re.ASCII):
        yield int(number)
    elif "T" in value and (moment := fields.ms_or_none(value)) is not None:
        yield moment


def _relative(date: str, seconds: str) -> Iterator[int]:
    if not re.fullmatch(r"\d{1,9}", seconds, re.ASCII):
        return
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return
    yield (int(signed_at.timestamp()) + int(seconds)) * 1000


def _query(url: str) -> dict[str, str]:
    """Parameters by their names in lower case, the first of each; none of an address that is broken."""
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:  # a broken IPv6 address, or too many fields
        return {}
    return {name.lower(): value for name, value in reversed(pairs)}

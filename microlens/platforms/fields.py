"""Reading one field of somebody else's answer: a mandatory one fails loudly, an optional one is None.

What ends in `_or_none`, `inner`, `rows` and `words` takes anything and never raises; the others raise PageChangedError.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import orjson

from microlens.platforms.base import page_changed

if TYPE_CHECKING:
    from microlens.platforms.base import Page

Json = dict[str, Any]


INT64 = 2**63


def json_answer(page: Page, text: bytes | None = None) -> Json:
    """Parse a page's body, or a part of it, as one JSON object."""
    try:
        return json_object(page, orjson.loads(page.body if text is None else text), "answer")
    except orjson.JSONDecodeError as error:
        raise page_changed(page, f"readable JSON ({error})") from error


def json_object(page: Page, value: Any, name: str) -> Json:
    if not isinstance(value, dict):
        raise page_changed(page, f"JSON object as {name}")
    return value


def json_objects(page: Page, row: Json, key: str) -> list[Json]:
    if not isinstance(row.get(key), list):
        raise page_changed(page, f"list {key!r}", row)
    return [json_object(page, each, f"row of {key!r}") for each in row[key]]


def text(page: Page, row: Json, key: str) -> str:
    """Read a text; a number will do, for ids are either."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise page_changed(page, f"text {key!r}", row)
    return str(value)


def number(page: Page, row: Json, key: str) -> int:
    value = int_or_none(row.get(key))
    if value is None:
        raise page_changed(page, f"number {key!r}", row)
    return value


def absolute(page: Page, url: str) -> str:
    try:
        return urljoin(page.url, url)
    except ValueError as error:  # a broken IPv6 address is one
        raise page_changed(page, f"usable address (it has {url!r})") from error


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def inner(row: Json, key: str) -> Json:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def rows(value: Any) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def words(value: Any) -> tuple[str, ...]:
    """Read tags: a list, or one comma-separated string."""
    found = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(word.strip() for word in found if isinstance(word, str) and word.strip())


def text_or_none(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None


def int_or_none(value: Any) -> int | None:
    """Read a whole number; one that no table can hold (64 bits) is as good as none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < INT64 else None


def float_or_none(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def ms_or_none(value: Any) -> int | None:
    """Read an ISO 8601 moment as milliseconds since 1970; one without a time zone is UTC, on every machine."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

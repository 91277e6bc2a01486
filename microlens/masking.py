"""A page's shape without what it says: enough to mend selectors, nothing of anybody.

    kept      elements, attribute names, class names, words of vocabularies (`@type`, `property`, `rel` ...), JSON keys
    masked    every text, number and other attribute: letters become x or X, digits 0 (in JSON numbers 1), so that a
              date, a count or an address can still be told by its shape; long ones are cut
    gone      comments, styles, scripts that hold no JSON; of a JSON list all but the first rows

Nothing is kept for looking harmless: who knows what a site calls its users. Class names are scrubbed besides.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

import orjson
from parsel import Selector

from microlens.privacy import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256_000
"""Of one masked page."""

_MAX_READ_BYTES = 2_000_000
_MAX_CHARACTERS, _MAX_ROWS, _MAX_KEYS, _MAX_DEPTH = 40, 3, 200, 40
_VOCABULARY_KEYS = frozenset({"@type", "@context", "interactionType"})
_VOCABULARY_WORD = re.compile(r"(?:https?://schema\.org/?)?[A-Za-z]{0,40}")
_VOCABULARY_ATTRIBUTES = frozenset({"class", "rel", "type", "property", "itemprop", "itemtype", "role", "charset"})
_NAMED_BY_VOCABULARY = {"meta": "name", "script": "id"}
"""Elements that no user writes: their name or id belongs to the site."""
_FIELD_NAME = re.compile(r"[@$_A-Za-z][A-Za-z_$-]{0,39}\d{0,2}")
_PERSON = r"(?:user|account|author|member|profile|person|owner|follower|friend)"
_PEOPLE = re.compile(rf"\w*(?:people|{_PERSON}s|{_PERSON}s?(?:_?by_?\w+|_?map))", re.IGNORECASE)
_LIST_WORDS = frozenset({"count", "cursor", "data", "edges", "items", "list", "next", "nodes", "page", "rows", "total"})
"""What stands under `users` where that is no table by user."""
_LEFT = frozenset(" \t\r\n" + string.punctuation)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
"""What an XML tree does not take."""
_LONG_NUMBER = re.compile(r"\d{3,}")
_ASSIGNED = re.compile(r"\s*((?:window|self|var|let|const)[A-Za-z_.$ ]{0,40}=)\s*([\[{].*[\]}])\s*;?\s*", re.DOTALL)


def masked_page(body: bytes) -> tuple[bytes, str]:
    """The page's shape, and `json` or `html` for what it is; at most MAX_BYTES, whatever the page."""
    if body.lstrip()[:1] in {b"{", b"["}:
        data = _json_or_none(body)
        if data is not None:
            return orjson.dumps(data, option=orjson.OPT_INDENT_2)[:MAX_BYTES], "json"
    return _masked_html(body[:_MAX_READ_BYTES].decode("utf-8", errors="replace")).encode()[:MAX_BYTES], "html"


def masked_text(text: str) -> str:
    """A text of the same shape: letters, digits and whatever else carries meaning give way, ASCII marks stay."""
    end = "…" if len(text) > _MAX_CHARACTERS else ""
    return "".join(map(_masked_character, text[:_MAX_CHARACTERS])) + end


def masked_value(value: Any, *, under: str = "", depth: int = 0) -> Any:
    """A JSON value of the same kinds: null and truth values as they are, lists cut, tables with their field names."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        is_word = under in _VOCABULARY_KEYS and _VOCABULARY_WORD.fullmatch(value)
        return value if is_word else masked_text(value)
    if isinstance(value, (int, float)):
        return _masked_number(value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, list):
        return [masked_value(row, under=under, depth=depth + 1) for row in value[:_MAX_ROWS]]
    return dict(_masked_fields(value, under, depth))


def _masked_fields(table: dict[str, Any], under: str, depth: int) -> Iterator[tuple[str, Any]]:
    is_map, is_of_people = _is_map(table), _PEOPLE.fullmatch(under) is not None
    for place, (key, value) in enumerate(list(table.items())[: _MAX_ROWS if is_map else _MAX_KEYS]):
        is_hidden = is_map or (is_of_people and key not in _LIST_WORDS) or not _FIELD_NAME.fullmatch(key)
        name = f"{masked_text(key)}~{place}" if is_hidden else key
        yield name, masked_value(value, under="" if is_hidden else key, depth=depth + 1)


def _is_map(table: dict[str, Any]) -> bool:
    """Whether keys are somebody's ids rather than names of fields: several tables much alike stand under them."""
    rows = list(table.values())
    if len(rows) < 2 or not all(isinstance(row, dict) for row in rows):  # noqa: PLR2004 - several
        return False
    return 2 * len(set.intersection(*map(set, rows))) >= len(set.union(*map(set, rows)))


def _masked_number(number: float) -> float:
    """Ones, as many as there were digits: seconds can be told from milliseconds, ids from each other cannot."""
    ones = re.sub(r"\d", "1", repr(number))
    return int(ones) if isinstance(number, int) else float(ones)


def _masked_character(character: str) -> str:
    if character in _LEFT:
        return character
    if character.isdigit():
        return "0"
    return "X" if character.isupper() else "x"


def _json_or_none(text: str | bytes) -> Any:
    try:
        return masked_value(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _masked_html(text: str) -> str:
    document = Selector(text=text, type="html")
    for element in document.root.iter():
        if not isinstance(element.tag, str):
            element.text = ""  # a comment
        elif element.tag in {"script", "style"}:
            element.text = _masked_script(element.text or "") if element.tag == "script" else ""
        elif element.text:
            element.text = masked_text(element.text)
        if element.tail:
            element.tail = masked_text(element.tail)
        if isinstance(element.tag, str):
            for name, value in element.attrib.items():
                element.attrib[name] = _masked_attribute(element.tag, name, value)
    return str(document.get())


def _masked_script(text: str) -> str:
    """Masked JSON, on its own or given to a variable; other code is gone."""
    assigned = _ASSIGNED.fullmatch(text)
    data = _json_or_none(assigned[2] if assigned else text)
    if data is None:
        return ""
    # A `</script>` inside a text cannot be left: every letter of it is masked.
    return f"{assigned[1] if assigned else ''} {orjson.dumps(data).decode()}".strip()


def _masked_attribute(tag: str, name: str, value: str) -> str:
    if name in _VOCABULARY_ATTRIBUTES or name == _NAMED_BY_VOCABULARY.get(tag):
        return _LONG_NUMBER.sub("000", _CONTROL.sub("", scrub(value[:200])))
    return masked_text(value)

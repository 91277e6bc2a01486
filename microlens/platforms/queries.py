"""A query says where on a page a value stands: `$...` is a JSON path, `/...`, `./...` and `(...` XPath, all else CSS.

What it finds is a node: an HTML element, an attribute, a text, or a JSON value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from cssselect import SelectorError
from parsel import Selector
from parsel.csstranslator import HTMLTranslator
from pydantic import PlainValidator

from microlens.platforms.json_path import Step, find, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterable

Node = Any
"""A parsel Selector, or a JSON value."""

_XPATH_BEGINS = ("/", "./", "../", "(")
_ADDRESSES = ("href", "src", "content", "data-src")
_SAID_BY_ATTRIBUTE = {"meta": "content", "time": "datetime"}


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query that was read once; `xpath` or `path` says what it asks for."""

    text: str
    xpath: str = ""
    path: tuple[Step, ...] = ()

    @property
    def is_json(self) -> bool:
        return not self.xpath

    def find(self, node: Node) -> list[Node]:
        """What stands there, in the page's order; a query of the other kind than the node finds nothing."""
        if isinstance(node, Selector) is self.is_json:
            return []
        return find(self.path, node) if self.is_json else list(node.xpath(self.xpath))

    def find_below(self, row: Node) -> list[Node]:
        """The same within one row: `//b` means below the row, not anywhere on the page."""
        if self.xpath.startswith("/") and isinstance(row, Selector):
            return list(row.xpath(f".{self.xpath}"))
        return self.find(row)


def compile_query(text: Any) -> CompiledQuery:
    """Read a query; ValueError if it is none."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a CSS selector, an XPath (it begins with /) or a JSON path (it begins with $) is needed")
    if text.startswith("$"):
        return CompiledQuery(text, path=parse_path(text))
    is_xpath = text == "." or text.startswith(_XPATH_BEGINS)
    try:
        xpath = text if is_xpath else HTMLTranslator().css_to_xpath(text)
        Selector("<p></p>").xpath(xpath)
    except (SelectorError, ValueError) as error:
        kind = "XPath" if is_xpath else "CSS selector"
        raise ValueError(f"not a usable {kind}: {error}") from error
    return CompiledQuery(text, xpath=xpath)


Query = Annotated[CompiledQuery, PlainValidator(compile_query)]


def said_by(node: Node) -> str | None:
    """A node's text: of meta its content, of time its datetime, else all that is in it; None of a JSON table."""
    if isinstance(node, Selector):
        return _element_text(node)
    if isinstance(node, str):
        return node
    return orjson.dumps(node).decode() if isinstance(node, (bool, int, float)) else None


def address_of(node: Node) -> str | None:
    """A node as an address: an element's href, src or content."""
    if isinstance(node, Selector) and not isinstance(node.root, str):
        return _first(node.attrib.get(name) for name in _ADDRESSES)
    return said_by(node)


def is_true(node: Node) -> bool:
    """Whether what was found means yes: any element does, and a JSON value that is not false, 0 or empty."""
    return isinstance(node, Selector) or bool(node)


def _element_text(node: Selector) -> str:
    if isinstance(node.root, (str, float, bool)):  # an attribute, a text, or what an XPath function gave
        return str(node.root)
    tag = str(node.root.tag)
    said = node.attrib.get(_SAID_BY_ATTRIBUTE.get(tag, ""))
    if said is not None:
        return said
    whole = str(node.xpath("string()").get())
    return whole if tag == "script" else " ".join(whole.split())


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)

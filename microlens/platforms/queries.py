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
_NO_ELEMENT = (str, float, bool)
"""What an attribute, a text, or the answer of an XPath function is in a tree."""
_ADDRESSES = ("href", "src", "content", "data-src")
_SAID_BY_ATTRIBUTE = {"meta": "content", "time": "datetime"}


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query that was read once: XPath for a whole page and for within a row, or a JSON path."""

    text: str
    on_page: str = ""
    in_row: str = ""
    path: tuple[Step, ...] = ()

    @property
    def is_json(self) -> bool:
        return not self.on_page

    def find(self, page: Node) -> list[Node]:
        """What stands on a page, in its order; a query of the other kind than the page finds nothing."""
        return self._run(page, self.on_page)

    def find_below(self, row: Node) -> list[Node]:
        """The same within one row: `//b` means below the row, not anywhere on the page."""
        return self._run(row, self.in_row)

    def _run(self, node: Node, xpath: str) -> list[Node]:
        if isinstance(node, Selector) is self.is_json:
            return []
        if self.is_json:
            return find(self.path, node)
        # A comment's tag is a function, and nothing can be asked of it.
        return [each for each in node.xpath(xpath) if not callable(getattr(each.root, "tag", None))]


def compile_query(text: Any) -> CompiledQuery:
    """Read a query; ValueError if it is none."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a CSS selector, an XPath (it begins with /) or a JSON path (it begins with $) is needed")
    if text.startswith("$"):
        return CompiledQuery(text, path=parse_path(text))
    is_xpath = text == "." or text.startswith(_XPATH_BEGINS)
    try:
        on_page, in_row = _xpaths(text) if is_xpath else _css_as_xpaths(text)
        Selector("<p></p>").xpath(in_row)
    except (SelectorError, ValueError) as error:
        kind = "XPath" if is_xpath else "CSS selector"
        raise ValueError(f"not a usable {kind}: {error}") from error
    return CompiledQuery(text, on_page, in_row)


def _xpaths(text: str) -> tuple[str, str]:
    return text, f".{text}" if text.startswith("/") else text


def _css_as_xpaths(text: str) -> tuple[str, str]:
    # From the document, not from <html>: what follows </html> is beside it in the tree.
    translate = HTMLTranslator().css_to_xpath
    return translate(text, prefix="/descendant-or-self::"), translate(text)


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
    if isinstance(node, Selector) and not isinstance(node.root, _NO_ELEMENT):
        return _first(node.attrib.get(name) for name in _ADDRESSES)
    return said_by(node)


def is_true(node: Node) -> bool:
    """Whether what was found means yes: any element does, and a JSON value that is not false, 0 or empty."""
    return isinstance(node, Selector) or bool(node)


def _element_text(node: Selector) -> str:
    if isinstance(node.root, _NO_ELEMENT):
        return str(node.root)
    tag = str(node.root.tag)
    said = node.attrib.get(_SAID_BY_ATTRIBUTE.get(tag, ""))
    if said is not None:
        return said
    whole = str(node.xpath("string()").get())
    return whole if tag == "script" else " ".join(whole.split())


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)

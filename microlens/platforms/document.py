"""A fetched page as picks see it: an HTML tree, JSON, and what it tells of itself; each is made when first needed."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import orjson
from parsel import Selector
from w3lib.encoding import html_body_declared_encoding

from microlens.platforms.base import page_changed
from microlens.platforms.json_path import exists
from microlens.platforms.queries import address_of, is_true, said_by
from microlens.platforms.self_description import SelfDescription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from microlens.platforms.base import Page
    from microlens.platforms.queries import CompiledQuery, Node
    from microlens.platforms.site_file import Pick


class Document:
    def __init__(self, page: Page, json_from: Pick | None = None) -> None:
        self.page = page
        self._json_from = json_from

    @cached_property
    def html(self) -> Selector:
        encoding = html_body_declared_encoding(self.page.body) or "utf-8"
        return Selector(text=self.page.body.decode(encoding, errors="replace"))

    @cached_property
    def data(self) -> Any:
        """The page's JSON; None if there is none that can be read."""
        try:
            return orjson.loads(self.page.body if self._json_from is None else text(self, self._json_from) or "")
        except orjson.JSONDecodeError:
            return None

    @cached_property
    def told(self) -> SelfDescription:
        """An answer that is JSON may quote HTML, which then describes something else."""
        is_json = self.page.body.lstrip()[:1] in {b"{", b"["}
        return SelfDescription(Selector("<html/>") if is_json else self.html)

    def find(self, query: CompiledQuery) -> list[Node]:
        return query.find(self.data if query.is_json else self.html)

    def rows(self, query: CompiledQuery) -> list[Node]:
        return list(_flat(self.find(query)))

    def require_list(self, query: CompiledQuery) -> None:
        """PageChangedError where JSON has no such list, not even an empty one: an error page is no end."""
        if query.is_json and (self.data is None or not exists(query.path, self.data)):
            raise page_changed(self.page, f"list {query.text!r}", self.data if isinstance(self.data, dict) else ())

    def address(self, text: str | None) -> str | None:
        """An http(s) address, absolute; None if the text is none."""
        try:
            url = urljoin(self.page.url, text.strip()) if text else ""
            return url if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).netloc else None
        except ValueError:  # a broken IPv6 address is one
            return None


def said(where: Document | Node, pick: Pick, read: Callable[[Node], str | None] = said_by) -> list[tuple[str, str]]:
    """(query, text) for all that the first successful query finds, the pick's pattern taken out of each."""
    query, nodes = _found(where, pick)
    taken = [_taken(pick, read(node)) for node in nodes]
    return [(query, text) for text in taken if text is not None]


def text(where: Document | Node, pick: Pick | None) -> str | None:
    return next((text for _, text in said(where, pick)), None) if pick is not None else None


def address_text(where: Document | Node, pick: Pick) -> str | None:
    return next((text for _, text in said(where, pick, address_of)), None)


def shows(where: Document | Node, pick: Pick | None) -> bool:
    """Whether a pick finds something: with a pattern a text that matches, without one anything that means yes."""
    if pick is None:
        return False
    return bool(said(where, pick)) if pick.pattern is not None else any(map(is_true, _found(where, pick)[1]))


def _found(where: Document | Node, pick: Pick) -> tuple[str, list[Node]]:
    for query in pick.select:
        nodes = list(_flat(where.find(query) if isinstance(where, Document) else query.find_below(where)))
        if nodes:
            return query.text, nodes
    return "", []


def _flat(nodes: Iterable[Node]) -> Iterable[Node]:
    """Lists in JSON count as their rows."""
    for node in nodes:
        yield from node if isinstance(node, list) else [node]


def _taken(pick: Pick, text: str | None) -> str | None:
    if pick.pattern is None or text is None:
        return text
    match = pick.pattern.search(text)
    return match[pick.pattern.groups] if match else None

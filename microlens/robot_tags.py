"""What a page or a file says of its own use: X-Robots-Tag headers and `<meta name="robots">`.

`noai` and `noimageai` ask not to be learned from, `noindex` and `none` not to be collected: a dataset does both.
Both forms: developers.google.com/search/docs/crawling-indexing/robots-meta-tag.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PRODUCT = "microlens-build"

_FORBIDDING = ("noai", "noimageai", "noindex", "none")
_WITH_VALUES = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_HEAD_BYTES = 64 << 10
_NAMES = re.compile(rb"robots|" + PRODUCT.encode(), re.IGNORECASE)
"""Few pages have a tag: the others are not worth a parser."""


def forbidding_word(tags: Iterable[str]) -> str | None:
    """The first word of the tags that forbids us to take what they stand on; None if none does."""
    words = {word for tag in tags for word in _words_for_us(tag)}
    return next((word for word in _FORBIDDING if word in words), None)


def meta_tags(body: bytes) -> list[str]:
    """The robots tags in the head of an HTML page; none in anything else."""
    start = body[:_HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"<") or not _NAMES.search(start):
        return []
    parser = _MetaParser()
    parser.feed(start.decode("utf-8", errors="replace"))
    return parser.tags


def _words_for_us(tag: str) -> list[str]:
    """The words of one tag, without those that are meant for another agent."""
    agent, colon, rest = tag.partition(":")
    agent = agent.strip().lower()
    if colon and "," not in agent and agent not in _WITH_VALUES:
        if agent not in {"*", PRODUCT}:
            return []
        tag = rest
    return [word.strip().lower() for word in tag.split(",")]


class _MetaParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "meta" and (told.get("name") or "").lower() in {"robots", PRODUCT}:
            self.tags.append(told.get("content") or "")

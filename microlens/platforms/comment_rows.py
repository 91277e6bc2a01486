"""The comments of one page, and the address of the next, as a platform file describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.platforms import fields
from microlens.platforms.base import ParsedComment, page_changed
from microlens.platforms.document import shows, text
from microlens.platforms.quantities import parse_count, parse_moment
from microlens.platforms.site_file import COUNTERS
from microlens.platforms.templates import fill, gaps_of, read_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microlens.platforms.document import Document
    from microlens.platforms.queries import Node
    from microlens.platforms.site_file import Comments

MANDATORY = ("id", "user_id", "text", "at")


def live_rows(comments: Comments, document: Document) -> list[Node]:
    """The rows that are comments; PageChangedError where the list itself is not there."""
    if comments.within is not None and not document.find(comments.within):
        raise page_changed(document.page, f"list of comments {comments.within.text!r}")
    document.require_list(comments.rows)
    return [row for row in document.rows(comments.rows) if not shows(row, comments.skip)]


def row_facts(comments: Comments, row: Node, now_ms: int) -> dict[str, str | int | None]:
    """The fields of one row by their keys; None is missing."""
    return {
        "id": text(row, comments.id) or None,
        "user_id": text(row, comments.user_id) or None,
        "text": text(row, comments.text),
        "at": parse_moment(text(row, comments.at), now_ms=now_ms),
        "gender": text(row, comments.gender) or None,
    }


def read_comments(comments: Comments, document: Document, rows: Iterable[Node], now_ms: int) -> Iterator[ParsedComment]:
    """PageChangedError if a row does not say who, what or when."""
    for row in rows:
        facts = row_facts(comments, row, now_ms)
        missing = [name for name in MANDATORY if facts[name] is None]
        if missing:
            key = f"comments.{missing[0]}"
            raise page_changed(document.page, f"{missing[0]!r} of a comment ({key} in the platform file)")
        gender = facts["gender"]
        yield ParsedComment(
            comment_id=str(facts["id"]),
            user_id=str(facts["user_id"]),
            text=str(facts["text"]),
            commented_at_ms=int(facts["at"] or 0),
            gender=str(gender) if gender is not None else None,
        )


def declared_total(comments: Comments, document: Document) -> int | None:
    """How many comments the page says there are; a rounded number (12.3K) says nothing of single ones."""
    told = text(document, comments.total)
    return None if told is None or any(letter.isalpha() for letter in told) else parse_count(told)


def next_url(comments: Comments, document: Document) -> str | None:
    """The page after this one, counted on from this one's own address; None after the last."""
    gaps = gaps_of(comments.following_url)
    is_end = not document.rows(comments.rows) or shows(document, comments.is_last)
    if is_end or not gaps & {"cursor", *COUNTERS}:
        return None
    asked = read_back(comments.following_url, document.page.url) or read_back(comments.url, document.page.url)
    if asked is None:
        raise page_changed(document.page, f"address of the form {comments.following_url!r}")
    cursor = text(document, comments.cursor)
    if comments.cursor is not None and cursor in {None, "", asked.get("cursor")}:
        return None
    page = (fields.int_or_none(asked.get("page")) or comments.first_page) + 1
    offset = (fields.int_or_none(asked.get("offset")) or 0) + comments.per_page
    return fill(comments.following_url, **{**asked, "cursor": cursor, "page": page, "offset": offset})

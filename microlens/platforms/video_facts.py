"""One video's page, field by field: what was read, and where it stood. What is missing is simply not there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microlens.addresses import canonical_url
from microlens.platforms import fields
from microlens.platforms.document import address_text, said, shows, text
from microlens.platforms.quantities import parse_count, parse_duration, parse_moment
from microlens.platforms.queries import address_of
from microlens.platforms.self_description import SCHEMA_ORG
from microlens.records import ASSET_KINDS, MediaLink

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from microlens.platforms.document import Document
    from microlens.platforms.queries import Node
    from microlens.platforms.site_file import MediaRule, Site
    from microlens.records import AssetKind

MANDATORY = ("video_id", "title")
FIELDS = (
    "video_id", "page_url", "title", "tags", "category", "language", "published_at", "duration",
    "like_count", "view_count", "comment_count", "author_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    value: Any
    source: str
    """The query that found it, or the convention that it comes from."""


def read_facts(site: Site, document: Document, now_ms: int) -> dict[str, Fact]:
    """All fields that the page gives, by the keys of a `video` section."""
    facts = {name: _fact(site, document, name, now_ms) for name in FIELDS}
    facts["refusal"] = _refusal(site, document)
    for kind in ASSET_KINDS:
        links = list(_media(document, getattr(site.video, kind), kind, now_ms))
        facts[kind] = Fact(tuple(link for link, _ in links), links[0][1]) if links else None
    return {name: fact for name, fact in facts.items() if fact is not None}


def id_in(pattern: re.Pattern[str] | None, url: str | None) -> str | None:
    """The video's id that an address holds, however the address is spelled."""
    match = pattern.search(canonical_url(url)) if pattern is not None and url else None
    return match[match.re.groups] if match else None


def _fact(site: Site, document: Document, name: str, now_ms: int) -> Fact | None:
    facts = []
    for source, raw in _candidates(site, document, name):
        value = _converted(document, name, raw, now_ms)
        if value is not None:
            facts.append(Fact(value, source))
    # A title may be empty, but not if another place has one.
    return next((fact for fact in facts if fact.value not in {"", ()}), facts[0] if facts else None)


def _candidates(site: Site, document: Document, name: str) -> Iterator[tuple[str, Any]]:
    """(where, what) of a field, the better one first; a pick that is given stands alone."""
    pick = getattr(site.video, name)
    if pick is not None:
        found = said(document, pick, address_of) if name == "page_url" else said(document, pick)
        yield from [(found[0][0], [text for _, text in found])] if found and name == "tags" else found
    else:
        if name == "video_id":
            yield "id_pattern", id_in(site.id_pattern, document.page.url)
        yield from document.told.values(name)
    if name == "page_url":
        yield "the address that was asked for", document.page.url


def _converted(document: Document, name: str, raw: Any, now_ms: int) -> Any:
    if name == "tags":
        return _tags(raw)
    if name.endswith("_count"):
        return _count(raw)
    scalar = raw if isinstance(raw, (str, int, float)) and not isinstance(raw, bool) else None
    if name == "duration":
        return parse_duration(scalar)
    if name == "published_at":
        return parse_moment(scalar, now_ms=now_ms)
    return _text(document, name, str(scalar) if scalar is not None else None)


def _text(document: Document, name: str, said_text: str | None) -> str | None:
    if name == "page_url":
        return document.address(said_text)
    if name == "video_id" and said_text:
        return canonical_url(said_text)
    return said_text if said_text or name == "title" else None


def _tags(raw: Any) -> tuple[str, ...] | None:
    """Several texts are a tag each; one may be a comma-separated list of them."""
    listed = raw[0] if isinstance(raw, list) and len(raw) == 1 else raw
    return tuple(dict.fromkeys(word.removeprefix("#") for word in fields.words(listed))) or None


def _count(raw: Any) -> int | None:
    if isinstance(raw, float) and raw.is_integer():
        return parse_count(int(raw))
    return parse_count(raw) if isinstance(raw, (str, int)) else None


def _refusal(site: Site, document: Document) -> Fact | None:
    for word, pick in site.video.refuse.items():
        if shows(document, pick):
            return Fact(word, f"refuse.{word}")
    told = document.told.refusal
    return Fact(told, "schema.org isFamilyFriendly") if told else None


def _media(document: Document, rule: MediaRule | None, kind: AssetKind, now_ms: int) -> Iterator[tuple[MediaLink, str]]:
    """Files of one kind, each address once, and where they stood."""
    seen = set()
    for link, source in _offered(document, rule, kind, now_ms):
        address = canonical_url(link.url)
        if address not in seen:
            seen.add(address)
            yield link, source


def _offered(
    document: Document, rule: MediaRule | None, kind: AssetKind, now_ms: int
) -> Iterator[tuple[MediaLink, str]]:
    if rule is None:
        for source, raw in document.told.values(kind):
            address = document.address(raw) if isinstance(raw, str) else None
            if address is not None:
                is_playlist = kind == "video" and source.startswith(SCHEMA_ORG) and document.told.is_playlist
                yield MediaLink(kind, address, format="hls" if is_playlist else "file"), source
                return
    elif rule.rows is None:
        for source, raw in said(document, rule.url, address_of):
            url = document.address(raw)
            if url is not None:
                yield MediaLink(kind, url, format=rule.format), source
    else:
        for row in document.rows(rule.rows):
            yield from _of_row(document, rule, row, kind, now_ms)


def _of_row(
    document: Document, rule: MediaRule, row: Node, kind: AssetKind, now_ms: int
) -> Iterator[tuple[MediaLink, str]]:
    url = document.address(address_text(row, rule.url))
    if url is not None:
        height, size = parse_count(text(row, rule.height)), parse_count(text(row, rule.size_bytes))
        ends_at_ms = parse_moment(text(row, rule.expires_at), now_ms=now_ms)
        link = MediaLink(kind, url, height, size, ends_at_ms, rule.format)
        yield link, rule.rows.text if rule.rows else ""

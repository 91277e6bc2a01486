"""What a platform file takes from one page, field by field, for the one who writes the file."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from microlens.errors import PageChangedError
from microlens.platforms import comment_rows, video_facts
from microlens.platforms.document import Document
from microlens.platforms.templates import read_back
from microlens.records import ASSET_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.platforms.base import Page, VideoLink
    from microlens.platforms.selectors import SelectorsPlatform
    from microlens.platforms.site_file import Site

PageKind = Literal["home", "video", "related", "comments"]


@dataclass(frozen=True, slots=True)
class Line:
    """One field of a page; a value of None was not found."""

    name: str
    value: Any
    source: str = ""
    is_mandatory: bool = False

    @property
    def is_missing(self) -> bool:
        return self.is_mandatory and self.value is None


@dataclass(frozen=True, slots=True)
class Description:
    kind: PageKind
    url: str
    lines: tuple[Line, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Mandatory fields that the page does not give."""
        return tuple(line.name for line in self.lines if line.is_missing)

    def to_json(self) -> dict[str, Any]:
        lines = [{**asdict(line), "is_missing": line.is_missing} for line in self.lines]
        return {"page": self.kind, "url": self.url, "fields": lines, "missing": list(self.missing)}


def describe(platform: SelectorsPlatform, page: Page, kind: PageKind | None = None) -> Description:
    """Read a page as the crawler would, but go on after a field that is missing."""
    chosen = kind or kind_of(platform.site, page.url)
    read = {"home": _home, "video": _video, "related": _related, "comments": _comments}[chosen]
    return Description(chosen, page.url, tuple(read(platform, page)))


def kind_of(site: Site, url: str) -> PageKind:
    """What a page is by its address; a video's page if nothing tells."""
    comments = site.comments
    if read_back(comments.url, url) or read_back(comments.following_url, url):
        return "comments"
    if site.related and site.related.url and read_back(site.related.url, url):
        return "related"
    is_video = video_facts.id_in(site.id_pattern, url) is not None
    return "home" if not is_video and read_back(site.home.url, url) else "video"


def _video(platform: SelectorsPlatform, page: Page) -> Iterator[Line]:
    document = Document(page, platform.site.video.json_from)
    facts = video_facts.read_facts(platform.site, document, platform.now_ms())
    for name in (*video_facts.FIELDS, "refusal", *ASSET_KINDS):
        fact = facts.get(name)
        value = fact.value if fact else None
        shown = [asdict(link) for link in value] if name in ASSET_KINDS and value else value
        yield Line(name, shown, fact.source if fact else "", is_mandatory=name in video_facts.MANDATORY)
    related = platform.site.related
    if related is not None and related.url is None:
        yield from _links("related", platform.related_here(document), related.links.rows.text, is_mandatory=False)
    elif related is not None and "video_id" in facts:
        yield Line("related_url", platform.related_url(page, facts["video_id"].value), related.url or "")


def _home(platform: SelectorsPlatform, page: Page) -> Iterator[Line]:
    home = platform.site.home
    try:
        found = platform.parse_home(page)
    except PageChangedError:
        yield Line("links", None, home.links.rows.text, is_mandatory=True)
        return
    yield from _links("links", found.links, home.links.rows.text, is_mandatory=not found.is_last)
    yield Line("is_last", found.is_last)


def _related(platform: SelectorsPlatform, page: Page) -> Iterator[Line]:
    related = platform.site.related
    if related is not None:
        yield from _links("related", platform.parse_related(page), related.links.rows.text, is_mandatory=False)


def _links(name: str, links: tuple[VideoLink, ...], source: str, *, is_mandatory: bool) -> Iterator[Line]:
    yield Line(name, [asdict(link) for link in links] or None, source, is_mandatory)


def _comments(platform: SelectorsPlatform, page: Page) -> Iterator[Line]:
    """All rows count: a field is missing if one comment lacks it; the first comment's is shown."""
    comments = platform.site.comments
    document = Document(page, comments.json_from)
    rows = comment_rows.live_rows(comments, document)
    yield Line("comments", len(rows), comments.rows.text)
    facts = [comment_rows.row_facts(comments, row, platform.now_ms()) for row in rows]
    for name in (*comment_rows.MANDATORY, "gender") if facts else ():
        lacking = [each for each in facts if each[name] is None]
        pick = getattr(comments, name)
        is_mandatory = name in comment_rows.MANDATORY
        value = None if is_mandatory and lacking else facts[0][name]
        source = " | ".join(query.text for query in pick.select) if pick else ""
        yield Line(name, value, f"{source} (lacking in {len(lacking)})" if lacking and pick else source, is_mandatory)
    if comments.total is not None:
        total = comment_rows.declared_total(comments, document)
        yield Line("total", total, " | ".join(query.text for query in comments.total.select))
    with contextlib.suppress(PageChangedError):  # a saved page has no address to count on from
        yield Line("next_url", comment_rows.next_url(comments, document))

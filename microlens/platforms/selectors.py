"""Any site that a YAML file describes; microlens.platforms.site_file says what it may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from microlens.addresses import canonical_url, origin_of
from microlens.clock import now_ms
from microlens.platforms import fields
from microlens.platforms.base import CommentPage, HomePage, ParsedVideo, VideoLink, page_changed
from microlens.platforms.comment_rows import declared_total, live_rows, next_url, read_comments
from microlens.platforms.document import Document, address_text, shows, text
from microlens.platforms.queries import address_of
from microlens.platforms.site_file import check_site, read_site
from microlens.platforms.templates import fill
from microlens.platforms.video_facts import MANDATORY, id_in, read_facts
from microlens.records import ASSET_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from microlens.platforms.base import Page
    from microlens.platforms.queries import Node
    from microlens.platforms.site_file import Links, Pick
    from microlens.records import Caption


class SelectorsPlatform:
    """Reads what the file says; relative moments (3 hours ago) are counted back from the clock."""

    name = "selectors"

    def __init__(self, options: Mapping[str, Any] | None = None, *, clock: Callable[[], int] = now_ms) -> None:
        self.site = check_site(options or {})
        self.newest_first = self.site.comments.newest_first
        self.now_ms = clock
        self.has_global_ids = self.site.has_global_ids

    @classmethod
    def from_file(cls, path: Path) -> Self:
        return cls(read_site(path))

    def home_url(self, instance: str, refresh: int) -> str:
        home = self.site.home
        counters = {"page": home.first_page + refresh, "offset": home.per_page * refresh}
        return fill(home.url, instance=instance, refresh=refresh, **counters)

    def parse_home(self, page: Page) -> HomePage:
        home = self.site.home
        document = Document(page, home.json_from)
        document.require_list(home.links.rows)
        found = self.links(document, home.links)
        is_last = shows(document, home.is_last) or (home.empty_is_last and not found)
        if not found and not is_last:
            raise page_changed(page, f"link to a video at home.links ({home.links.rows.text!r})")
        return HomePage(found, is_last=is_last)

    def parse_video(self, page: Page) -> ParsedVideo:
        document = Document(page, self.site.video.json_from)
        facts = read_facts(self.site, document, self.now_ms())
        for name in MANDATORY:
            if name not in facts:
                raise page_changed(page, f"{name!r} (video.{name} in the platform file)", facts)
        values = {name: fact.value for name, fact in facts.items()}
        return ParsedVideo(
            media=tuple(link for kind in ASSET_KINDS for link in values.pop(kind, ())),
            published_at_ms=values.pop("published_at", None),
            duration_s=values.pop("duration", None),
            related=self.related_here(document),
            related_url=self.related_url(page, values["video_id"]),
            **values,
        )

    def parse_related(self, page: Page) -> tuple[VideoLink, ...]:
        related = self.site.related
        if related is None:
            return ()
        document = Document(page, related.json_from)
        document.require_list(related.links.rows)
        return self.links(document, related.links)

    def parse_captions(self, _page: Page) -> tuple[Caption, ...]:
        return ()  # no video has a captions_url, so this is never asked

    def comments_url(self, page_request_url: str, video_id: str) -> str:
        comments = self.site.comments
        gaps = {"cursor": "", "page": comments.first_page, "offset": 0}
        return fill(comments.url, origin=fields.origin(page_request_url), video_id=video_id, **gaps)

    def parse_comments(self, page: Page) -> CommentPage:
        comments = self.site.comments
        document = Document(page, comments.json_from)
        rows = live_rows(comments, document)
        following = next_url(comments, document)
        found = tuple(read_comments(comments, document, rows, self.now_ms()))
        return CommentPage(found, (following,) if following else (), declared_total(comments, document))

    def related_here(self, document: Document) -> tuple[VideoLink, ...]:
        """The related links of a video's own page; none where the list is elsewhere."""
        related = self.site.related
        if related is None or related.url is not None:
            return ()
        own = Document(document.page, related.json_from) if related.json_from else document
        return self.links(own, related.links)

    def related_url(self, page: Page, video_id: str) -> str | None:
        related = self.site.related
        if related is None or related.url is None:
            return None
        return fill(related.url, origin=fields.origin(page.url), video_id=video_id)

    def links(self, document: Document, rule: Links) -> tuple[VideoLink, ...]:
        """Videos that a list shows, each once; what has no id or no address is something else, and is passed over."""
        found: dict[tuple[str, str], VideoLink] = {}
        for link in self._all_links(document, rule):
            found.setdefault((link.video_id, origin_of(link.url)), link)
        return tuple(found.values())

    def _all_links(self, document: Document, rule: Links) -> Iterator[VideoLink]:
        for row in document.rows(rule.rows):
            video_id = text(row, rule.video_id)
            if rule.url_template and video_id:
                origin = fields.origin(document.page.url)
                url: str | None = fill(rule.url_template, origin=origin, video_id=video_id)
            else:
                url = document.address(address_text(row, rule.url) if rule.url else address_of(row))
                video_id = canonical_url(video_id) if video_id else id_in(self.site.id_pattern, url)
            if video_id and url:
                yield VideoLink(video_id, url, _refusal(row, rule.refuse))


def _refusal(row: Node, refuse: Mapping[str, Pick]) -> str | None:
    return next((word for word, pick in refuse.items() if shows(row, pick)), None)

"""What a visit of a page becomes: the record for the dataset and the row for the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from crawler.plan import draw_related
from microlens.addresses import canonical_url, origin_of
from microlens.clock import now_ms
from microlens.errors import PageChangedError
from microlens.ledger_rows import Home, PageRow
from microlens.platforms.link_expiry import expiry_of
from microlens.records import FrontierItem, VideoRecord, fields_of
from microlens.tables import CRAWLED_VIDEOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microlens.platforms.base import HomePage, ParsedVideo, VideoLink
    from microlens.privacy import Pseudonymiser
    from microlens.recipe import Recipe
    from microlens.records import AssetKind, MediaLink


def home_row(item: FrontierItem, home: HomePage, recipe: Recipe) -> Home:
    links = tuple(_at_origin(home.links, recipe))
    return Home(item.payload["instance"], item.payload["refresh"], links, home.is_last)


def _at_origin(links: Iterable[VideoLink], recipe: Recipe) -> Iterable[VideoLink]:
    """Links whose page is read on the instance that a video comes from, if the recipe names it; else where it was seen.

    So a federated video is read where its counts and comments are whole, whichever instance shows it first.
    """
    named = set(map(origin_of, recipe.instances))
    for link in links:
        is_named = link.origin_url is not None and origin_of(link.origin_url) in named
        yield replace(link, url=link.origin_url if is_named and link.origin_url else link.url, origin_url=None)


def fitted(video: ParsedVideo) -> ParsedVideo:
    """The video with each file once, and without numbers that no column holds: one would cost its batch all records."""
    return replace(
        video,
        published_at_ms=_within(video.published_at_ms, 63),
        like_count=_within(video.like_count, 63),
        view_count=_within(video.view_count, 63),
        comment_count=_within(video.comment_count, 63),
        media=tuple(
            replace(
                link,
                height=_within(link.height, 31),
                size_bytes=_within(link.size_bytes, 63),
                expires_at_ms=_end_of(link),
            )
            for link in _distinct(video.media)
        ),
    )


def _end_of(link: MediaLink) -> int | None:
    """When a link ends, as its page or its address tells.

    One that has ended before its page was read tells of clocks that disagree, or of something else: it is asked for.
    """
    ends_at_ms = _within(link.expires_at_ms or expiry_of(link.url), 63)
    return ends_at_ms if ends_at_ms is not None and ends_at_ms > now_ms() else None


def _distinct(media: Iterable[MediaLink]) -> Iterable[MediaLink]:
    """Each file once, by its canonical address; the first spelling stays, and is what is fetched."""
    found: dict[tuple[AssetKind, str], MediaLink] = {}
    for link in media:
        found.setdefault((link.kind, canonical_url(link.url)), link)
    return found.values()


def _within(number: int | None, bits: int) -> int | None:
    return number if number is not None and -(1 << bits) <= number < 1 << bits else None


def page_row(item: FrontierItem, video: ParsedVideo, links: Iterable[VideoLink], recipe: Recipe) -> PageRow:
    """The ledger's row, with the links drawn from all that the page shows."""
    expected = item.payload["video_id"]
    if video.video_id != expected:
        raise PageChangedError(
            f"{item.url} is the page of {video.video_id!r}, not of {expected!r}",
            hint="the site has changed: save the answer beside the adapter's tests and mend the adapter",
        )
    return PageRow(
        video_id=video.video_id,
        url=item.url,
        title=video.title,
        like_count=video.like_count,
        comment_count=video.comment_count,
        category=video.category,
        language=video.language,
        refusal=video.refusal,
        media=video.media,
        related=draw_related(recipe.seed, video.video_id, _at_origin(links, recipe), recipe.expansion.related_per_page),
    )


def video_record(platform: str, video: ParsedVideo, pseudonyms: Pseudonymiser) -> VideoRecord:
    """The record for the dataset; the author's raw id ends here."""
    return VideoRecord(
        platform=platform,
        video_id=video.video_id,
        page_url=video.page_url,
        title=video.title,
        tags=video.tags,
        category=video.category,
        language=video.language,
        published_at_ms=video.published_at_ms,
        duration_s=video.duration_s,
        like_count=video.like_count,
        view_count=video.view_count,
        comment_count=video.comment_count,
        author_key=pseudonyms.user_key(platform, video.author_id) if video.author_id else None,
        media=video.media,
        captions=video.captions,
        refusal=video.refusal,
        crawled_at_ms=now_ms(),
    )


def video_table(records: Sequence[VideoRecord]) -> pa.Table:
    """The records as a table, built column by column: row by row takes Arrow three times as long."""
    columns = {name: [getattr(record, name) for record in records] for name in CRAWLED_VIDEOS.names}
    for name in ("media", "captions"):
        columns[name] = [None if rows is None else [fields_of(row) for row in rows] for rows in columns[name]]
    return pa.table([pa.array(columns[field.name], field.type) for field in CRAWLED_VIDEOS], schema=CRAWLED_VIDEOS)

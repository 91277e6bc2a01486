"""What a visit of a page becomes: the record for the dataset and the row for the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crawler.plan import draw_related
from microlens.errors import PageChangedError
from microlens.ledger import Home, PageRow, now_ms
from microlens.records import FrontierItem, VideoRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.platforms.base import HomePage, ParsedVideo, VideoLink
    from microlens.privacy import Pseudonymiser
    from microlens.recipe import Recipe


def home_row(item: FrontierItem, home: HomePage) -> Home:
    return Home(item.payload["instance"], item.payload["refresh"], home.links, home.is_last)


def fitted(video: ParsedVideo) -> ParsedVideo:
    """The video without numbers that no column holds: one of them would cost all records of its batch."""
    return replace(
        video,
        published_at_ms=_within(video.published_at_ms, 63),
        like_count=_within(video.like_count, 63),
        view_count=_within(video.view_count, 63),
        comment_count=_within(video.comment_count, 63),
        media=tuple(
            replace(link, height=_within(link.height, 31), size_bytes=_within(link.size_bytes, 63))
            for link in video.media
        ),
    )


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
        refusal=video.refusal,
        media=video.media,
        related=draw_related(recipe.seed, video.video_id, links, recipe.expansion.related_per_page),
    )


def video_record(platform: str, video: ParsedVideo, pseudonyms: Pseudonymiser) -> VideoRecord:
    """The record for the dataset; the author's raw id ends here."""
    return VideoRecord(
        platform=platform,
        video_id=video.video_id,
        page_url=video.page_url,
        title=video.title,
        tags=video.tags,
        language=video.language,
        published_at_ms=video.published_at_ms,
        duration_s=video.duration_s,
        like_count=video.like_count,
        view_count=video.view_count,
        comment_count=video.comment_count,
        author_key=pseudonyms.user_key(platform, video.author_id) if video.author_id else None,
        media=video.media,
        refusal=video.refusal,
        crawled_at_ms=now_ms(),
    )

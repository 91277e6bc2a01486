"""The work that a known video makes, as frontier items: its page once more, its files, its comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.platforms.base import choose_media
from microlens.records import ASSET_KINDS, AssetKind, FrontierItem, refreshed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.ledger import Ledger
    from microlens.ledger_rows import PageRow
    from microlens.platforms.base import Platform
    from microlens.recipe import Media
    from microlens.records import WorkKind

# A video's bytes come last: a cover of one colour or a bad title is known before they are asked for again elsewhere.
_PRIORITY: dict[AssetKind, int] = {"cover": 0, "audio": 1, "video": 2}
_COMMENTS_PRIORITY = 3
NODE_KINDS: tuple[WorkKind, ...] = ("media", "comments")


def asset_name(video_id: str, kind: AssetKind) -> str:
    return f"{video_id}/{kind}"


def visit_item(video_id: str, url: str, refresh: int) -> FrontierItem:
    """A known video's page, read again in a refresh."""
    return FrontierItem("visit", refreshed(video_id, refresh), url, {"page": "video", "video_id": video_id})


def media_items(page: PageRow, media: Media) -> Iterator[FrontierItem]:
    """One item for each asset that the site offers and the recipe wants; none where the owner does not want it."""
    if page.failure is not None or page.refusal is not None:
        return
    for kind in ASSET_KINDS:
        link = choose_media(page.media, kind, max_height=media.max_height, rendition=media.rendition)
        if link is None or (kind == "audio" and not media.audio):
            continue
        yield FrontierItem(
            kind="media",
            name=asset_name(page.video_id, kind),
            url=link.url,
            payload={"video_id": page.video_id, "asset": kind} | ({"format": "hls"} if link.format == "hls" else {}),
            priority=_PRIORITY[kind],
        )


def settled(ledger: Ledger) -> set[tuple[WorkKind, str]]:
    """Kind and name of what the nodes have fetched or given up: a frontier that was lost is not to have it again.

    A video whose comments a refresh has read is not in want of the first crawl's.
    """
    known: set[tuple[WorkKind, str]] = {("media", asset_name(row["video_id"], row["kind"])) for row in ledger.assets()}
    for one in ledger.comment_lists():
        known |= {("comments", refreshed(one.video_id, refresh)) for refresh in (0, one.refresh)}
    return known | {(work, row["name"]) for work in NODE_KINDS for row in ledger.final_failures(work)}


def comments_item(page: PageRow, platform: Platform, refresh: int = 0) -> FrontierItem:
    """A video's comments, as its page showed the way to them in this refresh."""
    return FrontierItem(
        kind="comments",
        name=refreshed(page.video_id, refresh),
        url=platform.comments_url(page.url, page.video_id),
        payload={"video_id": page.video_id, "refresh": refresh},
        priority=_COMMENTS_PRIORITY,
    )

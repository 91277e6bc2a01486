"""The work that a video makes for the download nodes, as frontier items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.platforms.base import choose_media
from microlens.records import ASSET_KINDS, AssetKind, FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.ledger import Ledger, PageRow
    from microlens.platforms.base import Platform
    from microlens.recipe import Media
    from microlens.records import WorkKind

# A video's bytes come last: a cover of one colour or a bad title is known before they are asked for again elsewhere.
_PRIORITY: dict[AssetKind, int] = {"cover": 0, "audio": 1, "video": 2}
_COMMENTS_PRIORITY = 3
NODE_KINDS: tuple[WorkKind, ...] = ("media", "comments")


def asset_name(video_id: str, kind: AssetKind) -> str:
    return f"{video_id}/{kind}"


def media_items(page: PageRow, media: Media) -> Iterator[FrontierItem]:
    """One item for each asset that the site offers and the recipe wants; none where the owner does not want it."""
    if page.failure is not None or page.refusal is not None:
        return
    for kind in ASSET_KINDS:
        link = choose_media(page.media, kind, max_height=media.max_height)
        if link is None or (kind == "audio" and not media.audio):
            continue
        yield FrontierItem(
            kind="media",
            name=asset_name(page.video_id, kind),
            url=link.url,
            payload={"video_id": page.video_id, "asset": kind},
            priority=_PRIORITY[kind],
        )


def settled(ledger: Ledger) -> set[tuple[WorkKind, str]]:
    """Kind and name of what the nodes have fetched or given up: a frontier that was lost is not to have it again."""
    known: set[tuple[WorkKind, str]] = {("media", asset_name(row["video_id"], row["kind"])) for row in ledger.assets()}
    known |= {("comments", video_id) for video_id in ledger.collected()}
    return known | {(work, row["name"]) for work in NODE_KINDS for row in ledger.final_failures(work)}


def comments_item(page: PageRow, platform: Platform) -> FrontierItem:
    return FrontierItem(
        kind="comments",
        name=page.video_id,
        url=platform.comments_url(page.url, page.video_id),
        payload={"video_id": page.video_id},
        priority=_COMMENTS_PRIORITY,
    )

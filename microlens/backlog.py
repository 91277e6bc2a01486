"""The work that a known video makes, as frontier items: its page once more, its files, its comments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from microlens.platforms.base import choose_media
from microlens.records import ASSET_KINDS, AssetKind, FrontierItem, refreshed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microlens.fresh_links import Given
    from microlens.ledger import Ledger
    from microlens.ledger_rows import PageRow
    from microlens.platforms.base import Platform
    from microlens.recipe import Media
    from microlens.records import MediaLink, WorkKind
    from microlens.runs import Run

# A video's bytes come last: a cover of one colour or a bad title is known before they are asked for again elsewhere.
_PRIORITY: dict[AssetKind, int] = {"cover": 0, "audio": 1, "video": 2}
_COMMENTS_PRIORITY = 3
_FRESH_PRIORITY = -len(_PRIORITY)
"""A fresh link is used before anything else, or it would end in the queue as the one before it did."""
FRESH_LINKS = 3
"""So many fresh links of an asset are refused, then its site is believed."""
MOST_LINKS = 10
"""So many it is given at most, those included that ended before it was their turn; the last is tried in any case."""
NODE_KINDS: tuple[WorkKind, ...] = ("media", "comments")


_OF_LINK = frozenset({"expires_at_ms", "format"})


def asset_name(video_id: str, kind: AssetKind) -> str:
    return f"{video_id}/{kind}"


def visit_item(video_id: str, url: str, refresh: int) -> FrontierItem:
    """A known video's page, read again in a refresh."""
    return FrontierItem("visit", refreshed(video_id, refresh), url, {"page": "video", "video_id": video_id})


def media_items(page: PageRow, media: Media) -> Iterator[FrontierItem]:
    """One item for each asset that the site offers and the recipe wants; none where the owner does not want it.

    A video's item says whether its sound is wanted from its file as well, as the site has none by itself.
    """
    if page.failure is not None or page.refusal is not None:
        return
    links = {
        kind: choose_media(page.media, kind, max_height=media.max_height, rendition=media.rendition)
        for kind in ASSET_KINDS
    }
    takes_sound = media.audio and media.audio_from_video and links["audio"] is None
    for kind, link in links.items():
        if link is None or (kind == "audio" and not media.audio):
            continue
        yield FrontierItem(
            kind="media",
            name=asset_name(page.video_id, kind),
            url=link.url,
            payload={
                "video_id": page.video_id,
                "asset": kind,
                **({"takes_sound": True} if kind == "video" and takes_sound else {}),
                **_told_by(link),
            },
            priority=_PRIORITY[kind],
        )


def _told_by(link: MediaLink) -> dict[str, Any]:
    """What a node must know of a link, beside its address."""
    told: dict[str, Any] = {} if link.expires_at_ms is None else {"expires_at_ms": link.expires_at_ms}
    return told | ({"format": "hls"} if link.format == "hls" else {})


def current_item(item: FrontierItem, given: Given | None, media: Media) -> FrontierItem | None:
    """A media item as of now: with the fresh link that its asset was given, if the first had run out.

    None while a fresh link is waited for, and where the page has none any more. Every link makes an item of its own
    (`v/cover@1`), so that one which is late in somebody's hands neither hides nor closes the next.
    """
    if given is None:
        return item
    kind: AssetKind = item.payload["asset"]
    link = choose_media(given.media, kind, max_height=media.max_height, rendition=media.rendition)
    if link is None:
        return None
    return replace(
        item,
        name=f"{item.name}@{given.link}",
        url=link.url,
        payload={
            **{name: value for name, value in item.payload.items() if name not in _OF_LINK},
            "link": given.link,
            "refused": given.refused,
            **_told_by(link),
        },
        priority=_PRIORITY[kind] + _FRESH_PRIORITY,
    )


def fresh_items(run: Run, video_ids: Sequence[str] | None = None) -> list[FrontierItem]:
    """Assets (of these videos) that were given a fresh link and are neither stored nor given up."""
    given = run.fresh_links.given(video_ids)
    videos = sorted({video_id for video_id, _ in given})
    items = [item for one in run.refreshes.standings(videos) for item in media_items(one.page, run.recipe.media)]
    done = {asset_name(row["video_id"], row["kind"]) for row in run.ledger.assets(videos)}
    done |= run.fresh_links.given_up([item.name for item in items])
    found = []
    for item in items:
        fresh = given.get((item.payload["video_id"], item.payload["asset"]))
        current = current_item(item, fresh, run.recipe.media)
        if fresh is not None and current is not None and item.name not in done:
            found.append(current)
    return found


def media_names(item: FrontierItem) -> Iterator[FrontierItem]:
    """What an item of the ledger may be called in the frontier: an asset's, whichever of its links it stands for."""
    yield item
    if item.kind == "media":
        yield from (replace(item, name=f"{item.name}@{link}") for link in range(1, MOST_LINKS + 1))


def links_item(video_id: str, url: str, wish: int) -> FrontierItem:
    """A known video's page, read again for fresh links; `wish` is the number of the first who asked for them."""
    return FrontierItem("links", refreshed(video_id, wish), url, {"page": "video", "video_id": video_id})


def settled(ledger: Ledger) -> set[tuple[WorkKind, str]]:
    """Kind and name of what the nodes have fetched or given up: a frontier that was lost is not to have it again.

    A video whose comments a refresh has read is not in want of the first crawl's.
    """
    known: set[tuple[WorkKind, str]] = {
        ("media", asset_name(one.video_id, one.kind)) for some in ledger.stored() for one in some
    }
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

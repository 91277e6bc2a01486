"""What the ledger says is still to be fetched: pushed when a node starts, so a lost Redis loses nothing."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from filtering.early import Thresholds, passes_early
from microlens.backlog import asset_name, comments_item, current_item, media_items, media_names
from microlens.comment_lists import newest_readings
from microlens.records import ASSET_KINDS, FrontierItem, refreshed
from microlens.unfinished import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from microlens.frontier import Frontier
    from microlens.ledger_rows import PageRow, Stored
    from microlens.platforms.base import Platform
    from microlens.runs import Run

_AT_ONCE = 500


def is_worth_comments(run: Run, page: PageRow, assets: Iterable[dict[str, Any]]) -> bool:
    """Whether a video's comments may be asked for: always, or once title, cover and size pass."""
    if page.failure is not None or page.refusal is not None:
        return False
    if run.recipe.comments.when == "always":
        return True
    by_kind = {asset["kind"]: asset for asset in assets}
    cover, video = by_kind.get("cover", {}), by_kind.get("video", {})
    return passes_early(
        page.title,
        cover.get("dominant_share"),
        cover.get("is_decodable"),
        video.get("size_bytes"),
        Thresholds.of(run.recipe.filters),
    )


def comments_after(run: Run, platform: Platform, video_ids: Sequence[str]) -> list[FrontierItem]:
    """The comments items that newly stored assets of these videos make due."""
    assets: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for asset in run.ledger.assets(video_ids):
        assets[asset["video_id"]].append(asset)
    if run.recipe.comments.when != "always":  # most have a cover and no video yet
        video_ids = [name for name in video_ids if any(asset["kind"] == "video" for asset in assets[name])]
    standings = run.refreshes.standings(video_ids) if video_ids else []
    worth = [known for known in standings if is_worth_comments(run, known.page, assets[known.page.video_id])]
    return [comments_item(known.page, platform, known.refresh) for known in worth]


def outstanding(run: Run, platform: Platform) -> Iterator[FrontierItem]:
    """Everything of the selected videos that is neither committed nor given up; a few hundred videos are in memory.

    Comments are wanted once for each visit of a video's page that was read: the newest counts. What the store has lost
    is `lost_files`'s to tell.
    """
    for items in outstanding_by_range(run, platform):
        yield from items


def outstanding_by_range(run: Run, platform: Platform) -> Iterator[Iterator[FrontierItem]]:
    """The same, for some thousands of the selected videos at a time."""
    kinds = [kind for kind in ASSET_KINDS if kind != "audio" or run.recipe.media.audio]
    for video_ids in unfinished(run.ledger, kinds):
        yield outstanding_of(run, platform, video_ids)


def outstanding_of(run: Run, platform: Platform, video_ids: Sequence[str]) -> Iterator[FrontierItem]:
    """What these videos, which are selected, still want."""
    for start in range(0, len(video_ids), _AT_ONCE):
        yield from _outstanding_of(run, platform, video_ids[start : start + _AT_ONCE])


def _outstanding_of(run: Run, platform: Platform, video_ids: Sequence[str]) -> Iterator[FrontierItem]:
    ledger = run.ledger
    pages = run.refreshes.standings(video_ids)
    stored: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for asset in ledger.assets(video_ids):
        stored[asset["video_id"]].append(asset)
    media = {one.page.video_id: list(media_items(one.page, run.recipe.media)) for one in pages}
    names = [item.name for items in media.values() for item in items]
    done = {asset_name(video_id, asset["kind"]) for video_id, own in stored.items() for asset in own}
    done |= {row["name"] for row in ledger.final_failures("media", names)}
    comments = [refreshed(one.page.video_id, one.refresh) for one in pages]
    given_up = {row["name"] for row in ledger.final_failures("comments", comments)}
    collected = newest_readings(ledger.comment_lists(video_ids))
    given = run.fresh_links.given(video_ids)
    for one, name in zip(pages, comments, strict=True):
        page = one.page
        for item in media[page.video_id]:
            if item.name not in done:
                current = current_item(item, given.get((page.video_id, item.payload["asset"])), run.recipe.media)
                yield from filter(None, [current])
        is_open = collected.get(page.video_id, -1) < one.refresh and name not in given_up
        if is_open and is_worth_comments(run, page, stored[page.video_id]):
            yield comments_item(page, platform, one.refresh)


def lost_files(run: Run, *, is_over: Callable[[], bool] = lambda: False) -> Iterator[list[Stored]]:
    """Assets whose files the store has no more, some at a time, in 8 bytes of memory for each file of the store.

    One listing tells what a store has: to ask a bucket for files by their names would take a request for each.
    """
    there = takewhile(lambda _: not is_over(), run.store.objects())
    held = array("Q", (_beginning(sha256) for sha256, _ in there))
    for some in run.ledger.stored(kept_at=run.ledger.keeping.media):
        if is_over():
            return
        missed = [one for one in some if not _is_in(held, _beginning(one.sha256))]
        came = run.store.sizes({one.sha256 for one in missed})  # while the store was listed
        yield [one for one in missed if one.sha256 not in came]


def is_anything_left(run: Run, platform: Platform) -> bool:
    """Whether anything is outstanding, or lost."""
    return next(outstanding(run, platform), None) is not None or any(lost_files(run))


def forget_lost(
    run: Run, frontier: Frontier, platform: Platform, *, is_over: Callable[[], bool] = lambda: False
) -> int:
    """Take back files that the store has lost, and push them so that they are fetched again; gives how many."""
    count = 0
    for lost in lost_files(run, is_over=is_over):
        forgotten = run.ledger.forget_assets(lost) if lost else []
        items = [FrontierItem("media", asset_name(one.video_id, one.kind), "", {}) for one in forgotten]
        frontier.forget(each for item in items for each in media_names(item))
        selected = {row.video_id for row in run.ledger.selections([one.video_id for one in forgotten])}
        frontier.push(outstanding_of(run, platform, sorted(selected)))
        count += len(forgotten)
    return count


def _beginning(sha256: str) -> int:
    return int(sha256[:16], 16)


def _is_in(ordered: array[int], number: int) -> bool:
    at = bisect_left(ordered, number)
    return at < len(ordered) and ordered[at] == number

"""What the ledger says is still to be fetched: pushed when a node starts, so a lost Redis loses nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from filtering.early import Thresholds, passes_early
from microlens.backlog import asset_name, comments_item, current_item, media_items, media_names
from microlens.comment_lists import newest_readings
from microlens.records import FrontierItem, refreshed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from microlens.ledger_rows import PageRow
    from microlens.platforms.base import Platform
    from microlens.runs import Run


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


def forget_lost(run: Run) -> list[FrontierItem]:
    """Take back files that the store has lost, so that they are fetched again; gives the work that is open again."""
    assets = run.ledger.assets()
    held = run.store.sizes({row["sha256"] for row in assets})
    lost = [row for row in assets if row["sha256"] not in held]
    run.ledger.forget_assets(lost)
    items = (FrontierItem("media", asset_name(row["video_id"], row["kind"]), "", {}) for row in lost)
    return [each for item in items for each in media_names(item)]


def outstanding(run: Run, platform: Platform) -> Iterator[FrontierItem]:
    """Everything of the selected videos that is neither stored nor given up.

    Comments are wanted once for each visit of a video's page that was read: the newest counts.
    """
    ledger = run.ledger
    selected = {row.video_id for row in ledger.selections()}
    given_up = {(work, row["name"]) for work in ("media", "comments") for row in ledger.final_failures(work)}
    collected = newest_readings(ledger.comment_lists())
    committed = ledger.assets()
    held = run.store.sizes({asset["sha256"] for asset in committed})
    assets: dict[str, list[dict[str, Any]]] = {}
    for asset in committed:
        if asset["sha256"] in held:
            assets.setdefault(asset["video_id"], []).append(asset)
    given = run.fresh_links.given()
    for standing in run.refreshes.standings():
        page = standing.page
        if page.video_id not in selected:
            continue
        stored = assets.get(page.video_id, [])
        have = {asset_name(page.video_id, asset["kind"]) for asset in stored}
        for item in media_items(page, run.recipe.media):
            if item.name not in have and ("media", item.name) not in given_up:
                current = current_item(item, given.get((page.video_id, item.payload["asset"])), run.recipe.media)
                yield from filter(None, [current])
        name = refreshed(page.video_id, standing.refresh)
        is_open = collected.get(page.video_id, -1) < standing.refresh and ("comments", name) not in given_up
        if is_open and is_worth_comments(run, page, stored):
            yield comments_item(page, platform, standing.refresh)

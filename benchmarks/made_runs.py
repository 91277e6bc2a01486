"""Runs whose pages are crawled and whose files wait to be fetched, or were."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from download_nodes.backlog import outstanding
from microlens.frontier import Frontier
from microlens.ledger_rows import PageRow, Selected
from microlens.platforms import platform_of
from microlens.recipe import Recipe
from microlens.records import ASSET_KINDS, AssetRecord, MediaLink
from microlens.runs import Run, open_or_create
from microlens.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microlens.ledger import Ledger
    from microlens.records import AssetKind

_AT_ONCE = 2_000


def make_run(folder: Path, redis_url: str, urls: list[str], kind: AssetKind = "cover") -> Run:
    """Make a run whose pages are crawled and whose files, one of each page, are still to be fetched."""
    run = bench_run(folder, urls, kind)
    Frontier.connect(redis_url, run.shared_name, run.recipe.politeness).push(outstanding(run, platform_of(run.recipe)))
    return run


def bench_run(folder: Path, urls: list[str], kind: AssetKind = "cover") -> Run:
    """Such a run, with nothing in a frontier."""
    site = "/".join(urls[0].split("/", 3)[:3])
    recipe = {
        "name": "bench",
        "platform": "sandbox",
        "instances": [site],
        "contact": "bench@example.org",
        "media": {"max_bytes": 4 << 30, "audio": False},
        "politeness": {"requests_per_second": 10_000, "concurrency": 64},
        "network": {"allow": ["127.0.0.0/8"]},
    }
    run, _ = open_or_create(Recipe.model_validate(recipe), Settings(runs_dir=folder))
    pages = [
        PageRow(f"v{number}", f"{site}/v/v{number}", title="A title of words", media=(MediaLink(kind, url),))
        for number, url in enumerate(urls)
    ]
    run.ledger.commit_crawl(pages=pages, selections=[Selected(page.video_id, "seed", None, 0) for page in pages])
    return run


def finish_videos(ledger: Ledger, count: int, *, sha256: str | None = None) -> Iterator[str]:
    """Commit so many videos, their files and their comments; gives the files' hashes: one, if it is given."""
    for start in range(0, count, _AT_ONCE):
        names = [f"finished{number:08}" for number in range(start, min(start + _AT_ONCE, count))]
        media = tuple(MediaLink(kind, f"http://127.0.0.1:1/media/{kind}") for kind in ASSET_KINDS)
        pages = [PageRow(name, f"http://127.0.0.1:1/v/{name}", title="A title of words", media=media) for name in names]
        assets = [
            AssetRecord(
                platform="sandbox",
                video_id=name,
                kind=kind,
                sha256=sha256 or hashlib.sha256(f"{name}{kind}".encode()).hexdigest(),
                size_bytes=1000,
                mime="video/mp4",
                phash="ab" * 32,
                frame_hashes=("cd" * 32,) * (16 if kind == "video" else 0),
            )
            for name in names
            for kind in ASSET_KINDS
        ]
        ledger.commit_crawl(pages=pages, selections=[Selected(name, "seed", None, 0) for name in names])
        ledger.commit_assets(assets)
        ledger.commit_comments(None, dict.fromkeys(names, 0))
        yield from (asset.sha256 for asset in assets)

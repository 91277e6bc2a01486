"""`python -m benchmarks.node_process all|fetch FOLDER REDIS_URL`: a node that drains a run's frontier, and ends.

It is what `python -m download_nodes.worker` is but for RQ, which hands out the drains. With `fetch` nothing is
measured: the record of a file has its hash and size alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import uvloop

import download_nodes.media as media_room
from download_nodes.backlog import outstanding
from download_nodes.measuring import Measurer
from download_nodes.node import Node
from download_nodes.sniff import UNKNOWN
from download_nodes.worker import spare_the_collector
from microlens.frontier import Frontier
from microlens.ledger_rows import PageRow, Selected
from microlens.platforms import platform_of
from microlens.recipe import Recipe
from microlens.records import AssetRecord, MediaLink
from microlens.runs import Run, open_or_create, open_run
from microlens.settings import Settings

if TYPE_CHECKING:
    from microlens.records import AssetKind

_LONG_S = 3600.0


def make_run(folder: Path, redis_url: str, urls: list[str], kind: AssetKind = "cover") -> Run:
    """Make a run whose pages are crawled and whose files, one of each page, are still to be fetched."""
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
    Frontier.connect(redis_url, run.shared_name, run.recipe.politeness).push(outstanding(run, platform_of(run.recipe)))
    return run


class Unmeasured:
    """Stands in for download_nodes.measuring.Measurer: nobody looks into the file."""

    async def measure(
        self, _path: Path, *, kind: AssetKind, platform: str, video_id: str, sha256: str, size_bytes: int
    ) -> AssetRecord:
        return AssetRecord(platform, video_id, kind, sha256, size_bytes, UNKNOWN)

    async def close(self) -> None:
        """Nothing of it is open."""


def drain(run: Run, redis_url: str) -> dict[str, int]:
    """Work until nothing is left."""

    async def work() -> dict[str, int]:
        node = Node(run, redis_url)
        try:
            return await node.drain(_LONG_S)
        finally:
            await node.close()

    spare_the_collector()
    counts: dict[str, int] = uvloop.run(work())
    return counts


if __name__ == "__main__":
    measurer = Unmeasured if sys.argv[1] == "fetch" else Measurer
    with patch.object(media_room, "Measurer", measurer):
        sys.stdout.write(json.dumps(drain(open_run(Path(sys.argv[2]), Settings()), sys.argv[3])) + "\n")

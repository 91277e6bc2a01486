"""Comment pages a CPU-second of a download node, against a bare aiohttp and orjson loop over the same pages."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import uvloop

from benchmarks.measure import cost_of
from download_nodes.node import Node
from microlens.backlog import comments_item
from microlens.embedded import redis_server
from microlens.frontier import Frontier
from microlens.garbage import collect_seldom
from microlens.ledger_rows import PageRow
from microlens.platforms.sandbox import SandboxPlatform
from microlens.recipe import Recipe
from microlens.runs import open_or_create, open_run
from microlens.settings import Settings
from sandbox.process import SandboxSite
from sandbox.truth import fates as fates_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 24


def run(items: int) -> Iterator[str]:
    """Measure with `items` users on the site; each writes about seven comments."""
    with (
        SandboxSite(videos=max(100, items // 40), users=items, seed=3, frozen=True) as site,
        tempfile.TemporaryDirectory() as name,
        redis_server(None) as redis_url,
    ):
        opened, _ = open_or_create(_recipe(site.url), Settings(runs_dir=Path(name)))
        fates = fates_of(site.world)
        videos = [video for video, fate in fates.items() if fate != "gone"]
        ours = cost_of(_ours, str(opened.folder), redis_url, site.url, videos)
        floor = cost_of(_floor, site.url, videos)
    yield f"{floor.value:,} comment pages of {len(videos):,} videos"
    kept = f"{ours.value:,} comments pseudonymised and committed"
    yield f"  ours   {floor.value / ours.cpu_s:8,.0f} pages/CPU-s  ({kept})"
    yield f"  floor  {floor.value / floor.cpu_s:8,.0f} pages/CPU-s  (get, orjson.loads, next cursor)"
    yield f"  ratio  {floor.cpu_s / ours.cpu_s:8.2f}"


def _recipe(url: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "bench",
            "platform": "sandbox",
            "instances": [url],
            "contact": "bench@example.org",
            "politeness": {"requests_per_second": 10_000, "concurrency": 64},
            "network": {"allow": ["127.0.0.0/8"]},
        }
    )


def _ours(folder: str, redis_url: str, url: str, videos: list[str]) -> int:
    run = open_run(Path(folder), Settings())
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    platform = SandboxPlatform()
    frontier.push(comments_item(PageRow(video, f"{url}/v/{video}"), platform) for video in videos)

    collect_seldom()

    async def drain() -> None:
        node = Node(run, redis_url)
        await node.drain(600)
        await node.close()

    uvloop.run(drain())
    return sum(run.ledger.collected().values())


def _floor(url: str, videos: list[str]) -> int:
    async def collect(session: aiohttp.ClientSession, queue: list[str]) -> int:
        pages = 0
        while queue:
            first: str | None = f"{url}/api/videos/{queue.pop()}/comments?limit=100"
            at = first
            while at is not None:
                async with session.get(at) as response:
                    answer: dict[str, Any] = orjson.loads(await response.read())
                pages += 1
                at = f"{first}&cursor={answer['next']}" if answer["next"] is not None else None
        return pages

    async def main() -> int:
        async with aiohttp.ClientSession() as session:
            queue = list(videos)
            return sum(await asyncio.gather(*(collect(session, queue) for _ in range(_WIDTH))))

    return uvloop.run(main())

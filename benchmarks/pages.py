"""Pages a CPU-second of the collection node, against the same reading and recording on Scrapy's in-memory queue."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from microlens.embedded import redis_server
from microlens.recipe import Recipe
from microlens.runs import open_or_create
from microlens.settings import Settings
from sandbox.process import SandboxSite

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(items: int) -> Iterator[str]:
    with (
        SandboxSite(videos=items, users=items // 2, seed=3, frozen=True) as site,
        tempfile.TemporaryDirectory() as name,
        redis_server(None) as redis_url,
    ):
        folder, client = Path(name), redis.Redis.from_url(redis_url)
        recipe = _recipe(site.url, items)
        opened, _ = open_or_create(recipe, Settings(runs_dir=folder))
        before = _redis_cpu_s(client)
        ours = _cpu_s([sys.executable, "-m", "crawler", str(opened.folder), redis_url])
        in_redis = _redis_cpu_s(client) - before
        pages = opened.ledger.pages()
        read = sum(page.failure is None for page in pages)
        urls = folder / "urls.txt"
        urls.write_text("\n".join(page.url for page in pages))
        kept = str(folder / "floor")
        floor = _cpu_s([sys.executable, "-m", "benchmarks.pages_floor", str(urls), kept])
    yield f"{len(pages):,} pages of a site on this machine, {read:,} read; start-up included"
    yield f"  ours   {len(pages) / ours:8,.0f} pages/CPU-s  (Redis used {in_redis:.2f} CPU-s besides {ours:.2f})"
    yield f"  floor  {len(pages) / floor:8,.0f} pages/CPU-s  (the same reading and records on Scrapy's queue in memory)"
    yield f"  ratio  {floor / ours:8.2f}"


def _recipe(url: str, items: int) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "bench",
            "platform": "sandbox",
            "instances": [url],
            "contact": "bench@example.org",
            "seeds": {"target": items, "max_stale_refreshes": 3},
            "politeness": {"requests_per_second": 10_000, "concurrency": 64},
            "network": {"allow": ["127.0.0.0/8"]},
        }
    )


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def _redis_cpu_s(client: redis.Redis) -> float:
    with contextlib.suppress(redis.RedisError):
        info: dict[str, Any] = client.info("cpu")
        return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
    return time.process_time()

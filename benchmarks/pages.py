"""Pages a CPU-second of the collection node, against the same reading and recording on Scrapy's in-memory queue.

Measured with one collection node and with two that share one frontier.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from benchmarks.measure import redis_cpu_s
from microlens.embedded import redis_server
from microlens.platforms import load_platform
from microlens.recipe import Recipe
from microlens.runs import open_or_create
from microlens.settings import Settings
from sandbox.process import SandboxSite

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 3
"""Ours and the floor take turns; the cheapest round of each counts, for what disturbs them only adds."""


def run(items: int) -> Iterator[str]:
    with (
        SandboxSite(videos=items, users=items // 2, seed=3, frozen=True) as site,
        tempfile.TemporaryDirectory() as name,
    ):
        for processes in (1, 2):
            rounds = [_round(Path(name) / f"{processes}-{turn}", site.url, items, processes) for turn in range(_ROUNDS)]
            pages = rounds[0][0]
            ours, in_redis = min((cpu, redis_cpu) for _, cpu, redis_cpu, _ in rounds)
            floor = min(cpu for *_, cpu in rounds)
            yield f"{pages:,} answers of a site on this machine, {processes} process(es); start-up included"
            yield f"  ours   {pages / ours:8,.0f} answers/CPU-s  (Redis used {in_redis:.2f} CPU-s besides {ours:.2f})"
            yield f"  floor  {pages / floor:8,.0f} answers/CPU-s  (the same records, Scrapy's own queue in memory)"
            yield f"  ratio  {floor / ours:8.2f}"


def _round(folder: Path, url: str, items: int, processes: int) -> tuple[int, float, float, float]:
    """Pages; CPU seconds of ours, of Redis besides, and of the floor."""
    with redis_server(None) as redis_url:
        client = redis.Redis.from_url(redis_url)
        opened, _ = open_or_create(_recipe(url, items), Settings(runs_dir=folder))
        before = redis_cpu_s(client)
        ours = _cpu_s([[sys.executable, "-m", "crawler", str(opened.folder), redis_url]] * processes)
        in_redis = redis_cpu_s(client) - before
        platform = load_platform("sandbox")
        urls = [platform.home_url(home.instance, home.refresh) for home in opened.ledger.homes()]
        urls += [page.url for page in opened.ledger.pages()]
    commands = []
    for number in range(processes):
        share = folder / f"urls-{number}.txt"
        share.write_text("\n".join(urls[number::processes]))
        commands.append([sys.executable, "-m", "benchmarks.pages_floor", str(share), str(folder / f"floor-{number}")])
    return len(urls), ours, in_redis, _cpu_s(commands)


def _recipe(url: str, items: int) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "bench",
            "platform": "sandbox",
            "instances": [url],
            "contact": "bench@example.org",
            # As in the paper, most pages are found as related ones; every page of the home page is a seed here.
            "seeds": {"target": items // 8, "min_likes": -1, "max_stale_refreshes": 3},
            "politeness": {"requests_per_second": 10_000, "concurrency": 64},
            "network": {"allow": ["127.0.0.0/8"]},
        }
    )


def _cpu_s(commands: list[list[str]]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [subprocess.Popen(command) for command in commands]
    for process in running:
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, process.args)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)

"""Covers a CPU-second, start-up included: a download node against img2dataset and against a bare loop.

All fetch the same files from one server on this machine, in turn; the cheapest round of each counts, for what
disturbs them only adds. MICROLENS_BENCH_IMG2DATASET names a Python that has img2dataset (it is no part of this
project); without it that row is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from benchmarks.bare_loop import WIDTH
from benchmarks.made_runs import make_run
from benchmarks.measure import Cost, cost_of_command, redis_cpu_s
from benchmarks.media_files import make_covers
from benchmarks.static_server import serving
from microlens.embedded import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEER_VARIABLE = "MICROLENS_BENCH_IMG2DATASET"
_ROUNDS = 3
_PEER_TIMES = {"http": 4.0, "https": 15.0}
_PEER_TIMES_OF_MANY = 2.0
_MANY = 10_000
_LOOP_SHARE = 0.70
_MEASURED_TIMES = 1.4


def run(items: int) -> Iterator[str]:
    """Measure with so many covers over HTTP, then over HTTPS."""
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        files.mkdir()
        names = make_covers(files, items)
        size = sum(path.stat().st_size for path in files.iterdir()) / items
        yield f"{items:,} covers of {size / 1000:.1f} KB, one process, start-up included; cheapest of {_ROUNDS} rounds"
        with serving(files, Path(name) / "site.pem") as site:
            for scheme, address in site.addresses.items():
                contest = _Contest(Path(name) / scheme, files, [f"{address}/{one}" for one in names])
                for _ in range(_ROUNDS):
                    contest.round(site.environment)
                yield from contest.lines(scheme)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one competitor's job cost, with what it left behind already counted."""

    cost: Cost
    redis_cpu_s: float = 0.0


class _Contest:
    """All competitors over the same addresses."""

    def __init__(self, folder: Path, files: Path, urls: list[str]) -> None:
        self._folder, self._files, self._urls = folder, files, urls
        self._entries: defaultdict[str, list[_Entry]] = defaultdict(list)
        folder.mkdir()
        (folder / "urls.txt").write_text("\n".join(urls))

    def round(self, environment: dict[str, str]) -> None:
        jobs: dict[str, Callable[[Path, dict[str, str]], _Entry]] = {
            "node": lambda into, env: self._node(into, env, "all"),
            "unmeasured": lambda into, env: self._node(into, env, "fetch"),
            "loop": self._loop,
            "measurements": self._measurements,
        }
        if os.environ.get(PEER_VARIABLE):
            jobs["img2dataset"] = self._peer
        for name, job in jobs.items():
            # Nothing is removed before the end: ext4 without a journal makes no inode again that was freed of late, and
            # looks through all of those at each new file (ten times the CPU of one, for half a minute).
            into = self._folder / f"{name}-{len(self._entries[name])}"
            self._entries[name].append(job(into, environment))

    def lines(self, scheme: str) -> Iterator[str]:
        best = {name: min(entries, key=lambda one: one.cost.cpu_s) for name, entries in self._entries.items()}
        cpu_s = {name: entry.cost.cpu_s for name, entry in best.items()}
        yield f" {scheme}"
        yield self._row(
            "ours", best["node"], f"all measurements; Redis used {best['node'].redis_cpu_s:.2f} CPU-s besides"
        )
        yield self._row("ours", best["unmeasured"], "hash and size alone")
        yield self._row("floor", best["loop"], f"aiohttp, {WIDTH} at once: stream, hash, write, rename")
        yield self._row("floor", best["measurements"], "the measurements alone, of files at hand")
        if "img2dataset" in best:
            goal = _PEER_TIMES[scheme] if len(self._urls) < _MANY else _PEER_TIMES_OF_MANY
            yield self._row("peer", best["img2dataset"], "img2dataset --disable_all_reencoding")
            ratio = cpu_s["img2dataset"] / cpu_s["unmeasured"]
            yield f"  ours / img2dataset, hash and size alone   {ratio:6.2f}  (goal {goal:g})"
            yield f"  ours / img2dataset, all measurements      {cpu_s['img2dataset'] / cpu_s['node']:6.2f}"
        else:
            yield f"  no img2dataset: set {PEER_VARIABLE} to a Python that has it"
        share, times = cpu_s["loop"] / cpu_s["unmeasured"], cpu_s["node"] / (cpu_s["loop"] + cpu_s["measurements"])
        yield f"  ours / bare loop, hash and size alone     {share:6.2f}  (goal {_LOOP_SHARE:g})"
        yield f"  CPU of ours / bare loop + measurements    {times:6.2f}  (goal at most {_MEASURED_TIMES:g})"

    def _row(self, name: str, entry: _Entry, told: str) -> str:
        cost, count = entry.cost, len(self._urls)
        rates = f"{count / cost.cpu_s:8,.0f} covers/CPU-s {cost.cpu_s:7.2f} CPU-s {cost.wall_s:7.2f} s"
        return f"  {name:5} {rates} {cost.peak_mb:5.0f} MB  ({told})"

    def _node(self, into: Path, environment: dict[str, str], mode: str) -> _Entry:
        with redis_server(None) as redis_url:
            run = make_run(into, redis_url, self._urls)
            client = redis.Redis.from_url(redis_url)
            before = redis_cpu_s(client)
            cost = _python("benchmarks.node_process", mode, run.folder, redis_url, environment=environment)
            used = redis_cpu_s(client) - before
            client.close()
        assets = run.ledger.assets()
        run.ledger.close()
        self._check("node", len({asset["sha256"] for asset in assets if run.store.has(asset["sha256"])}))
        return _Entry(cost, used)

    def _loop(self, into: Path, environment: dict[str, str]) -> _Entry:
        cost = _python("benchmarks.bare_loop", self._folder / "urls.txt", into, environment=environment)
        self._check("bare loop", sum(1 for _ in into.iterdir()))
        return _Entry(cost)

    def _measurements(self, _into: Path, environment: dict[str, str]) -> _Entry:
        cost = _python("benchmarks.bare_measurements", "cover", self._files, environment=environment)
        self._check("bare measurements", cost.value[0])
        return _Entry(cost)

    def _peer(self, into: Path, environment: dict[str, str]) -> _Entry:
        options = {
            "url_list": self._folder / "urls.txt",
            "output_folder": into,
            "disable_all_reencoding": True,
            "processes_count": 1,
            "thread_count": WIDTH,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        program = Path(os.environ[PEER_VARIABLE]).with_name("img2dataset")
        # Its image library would ask the network for a newer version of itself.
        cost = cost_of_command([str(program), *words], {**environment, "NO_ALBUMENTATIONS_UPDATE": "1"})
        self._check("img2dataset", sum(1 for _ in into.rglob("*.jpg")))
        return _Entry(cost)

    def _check(self, name: str, fetched: int) -> None:
        if fetched != len(self._urls):
            raise RuntimeError(f"{name} brought {fetched} of {len(self._urls)} covers: its time says nothing")


def _python(module: str, *arguments: object, environment: dict[str, str]) -> Cost:
    return cost_of_command([sys.executable, "-m", module, *map(str, arguments)], environment)

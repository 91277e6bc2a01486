"""The paper's full scale, for real: a run of so many comments, taken in in increments, merged, and drawn from.

`--items 1000000000` is the paper's Table 1: 1.14 million videos and 34.5 million users. Comments come in increments of
a twentieth, whose parts are deleted once they are taken in. That takes up to 35 GB under TMPDIR and an hour or so. All
stages are the ones that `microlens-build integrate --gather`, `integrate` and `subset` run, each in a process of its
own; but a release links no media, for of these the ledger alone knows.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import duckdb
import numpy as np
import pyarrow as pa

import integration.release as release_room
from benchmarks.made_comments import keys_of, mixed, random_ids
from benchmarks.measure import Cost, cost_of
from download_nodes.comment_parts import COMMENTS_LAYOUT
from integration.draw import Draw
from integration.merge import gather, integrate
from integration.subset import subset
from microlens.ledger_rows import PageRow, Selected
from microlens.parts import write_part
from microlens.privacy import USER_KEY_BYTES
from microlens.recipe import Recipe
from microlens.records import AssetRecord, MediaLink
from microlens.runs import open_or_create, open_run
from microlens.settings import Settings
from microlens.tables import CRAWLED_COMMENTS, CRAWLED_VIDEOS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.records import AssetKind
    from microlens.runs import Run

_INCREMENTS = 20
_PART_ROWS = 1_000_000
_MEAN_OF_VIDEO, _MOST_OF_VIDEO = 877, 5_000
_MEAN_OF_USER = 29
_USER_SKEW = 1.5
"""Users are drawn with a density that falls like x ** (1 / skew - 1)."""
_KINDS: tuple[AssetKind, ...] = ("cover", "video")
_MERGE_TIMES = 2.5
_LOOK_S = 2.0
_TOLD_S = 0.1


def run(items: int) -> Iterator[str]:
    """Measure with so many comments."""
    with tempfile.TemporaryDirectory() as name, _Disk(Path(name)) as disk:
        folder = Path(name)
        taken, copied, made = [], [], 0
        for number in range(_INCREMENTS):
            made += cost_of(_make_increment, folder, number, items // _INCREMENTS, items).value
            copied.append(cost_of(_copy, folder))
            taken.append(cost_of(_gather, folder))
            _delete_parts(folder)
        cost_of(_finish, folder)
        merged = cost_of(_integrate, folder)
        drawn = {users: cost_of(_subset, folder, users) for users in _draws(items)}
    rows, users, steps = merged.value
    copy_s = sum(one.cpu_s for one in copied)
    merge_s = sum(one.cpu_s for one in taken) + steps["merge"]
    yield f"{made:,} comments in {_INCREMENTS} increments to {rows:,} interactions of {users:,} users"
    yield _line("taking in", made, *taken)
    yield _line("merge and tables", made, merged)
    yield "    " + ", ".join(f"{step} {cpu_s:.1f}" for step, cpu_s in steps.items() if cpu_s >= _TOLD_S) + " CPU-s"
    yield _line("COPY in and out", made, *copied)
    yield f"  CPU of taking in and merge / COPY  {merge_s / copy_s:6.2f}  (goal at most {_MERGE_TIMES:g})"
    for wanted, cost in drawn.items():
        yield _line(f"subset of {wanted:,}", made, cost)
        yield f"    {cost.value:,} interactions"
    yield f"  disk at most {disk.most / 1e9:.1f} GB, with what DuckDB spills"


def _line(what: str, rows: int, *costs: Cost) -> str:
    cpu_s, peak_mb = sum(cost.cpu_s for cost in costs), max(cost.peak_mb for cost in costs)
    wall_s = sum(cost.wall_s for cost in costs)
    return f"  {what:22}{cpu_s:9.1f} CPU-s {wall_s:9.1f} s {peak_mb:7.0f} MB {1e9 * cpu_s / rows:9.0f} CPU-ns a comment"


def _draws(items: int) -> list[int]:
    population = items // _MEAN_OF_USER
    return [users for users in (100_000, 1_000_000) if users <= population // 2] or [population // 5]


# --- the stages ---


def _settings(folder: Path) -> Settings:
    return Settings(runs_dir=folder, pseudonym_key="0f" * 32)


def _open(folder: Path) -> Run:
    return open_run(folder / "scale", _settings(folder))


def _gather(folder: Path) -> None:
    gather(_open(folder), _settings(folder))


def _finish(folder: Path) -> None:
    _open(folder).ledger.finish_stage("crawl")


def _integrate(folder: Path) -> tuple[int, int, dict[str, float]]:
    """Interactions, users, and the CPU seconds of each kind of step."""
    steps = _Steps()
    manifest, _ = integrate(_open(folder), _settings(folder), on_step=steps)
    steps("")
    return manifest.counters["interactions"], manifest.counters["users"], dict(steps.cpu_s)


class _Steps:
    """CPU seconds by the first word of what is told at a step's start."""

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self._step, self._since = "start", time.process_time()

    def __call__(self, step: str) -> None:
        now = time.process_time()
        self.cpu_s[self._step.partition(" ")[0]] += now - self._since
        self._step, self._since = step, now


def _subset(folder: Path, users: int) -> int:
    with patch.object(release_room, "_link_media", lambda *_: []):
        built = subset(_open(folder), _settings(folder), Draw(users=users, name=f"drawn-{users}"))
    return int(built.counts["interactions"])


def _copy(folder: Path) -> None:
    """The floor: the increment's pairs through one COPY, as they are."""
    limits: dict[str, Any] = {"memory_limit": "2GB", "threads": 2, "temp_directory": str(folder / "spilled")}
    connection = duckdb.connect(config=limits)
    connection.execute("SET enable_progress_bar = false")
    source = "SELECT user_key, video_id, commented_at_ms, comment_id"
    source += f" FROM read_parquet('{folder}/scale/crawled/comments/*.parquet')"
    connection.execute(f"COPY ({source}) TO '{folder}/copy.parquet' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    (folder / "copy.parquet").unlink()


def _delete_parts(folder: Path) -> None:
    for path in (folder / "scale/crawled/comments").iterdir():
        path.unlink()


# --- what nodes would have committed ---


def _make_increment(folder: Path, number: int, rows: int, of_rows: int) -> int:
    """Commit whole videos with about so many comments in all; gives how many."""
    recipe = {
        "name": "scale",
        "platform": "sandbox",
        "instances": ["http://127.0.0.1:1"],
        "contact": "bench@example.org",
        "comments": {"text": "none"},
        "media": {"audio": False},
    }
    run, _ = open_or_create(Recipe.model_validate(recipe), _settings(folder))
    generator = np.random.default_rng(number)
    population, made, video = max(1, of_rows // _MEAN_OF_USER), 0, 0
    while made < rows:
        # Many videos have few comments, and some have as many as are collected of one.
        videos = max(1, min(rows - made, _PART_ROWS) // _MEAN_OF_VIDEO)
        wanted = generator.lognormal(np.log(_MEAN_OF_VIDEO) - 0.5, 1.0, videos).astype(np.int64)
        counts = np.clip(wanted, 1, _MOST_OF_VIDEO)
        names = [f"v{number:02d}{video + at:07d}" for at in range(len(counts))]
        _add_videos(run, names)
        part = write_part(run.folder, "comments", _comments(generator, names, counts, population), **COMMENTS_LAYOUT)
        run.ledger.commit_comments(part, dict(zip(names, counts.tolist(), strict=True)))
        made, video = made + int(counts.sum()), video + len(names)
    run.ledger.close()
    return made


def _comments(generator: np.random.Generator, names: list[str], counts: np.ndarray, population: int) -> pa.Table:
    rows = int(counts.sum())
    users = (population * generator.random(rows) ** _USER_SKEW).astype(np.uint64)
    keys = np.column_stack([mixed(users), mixed(users + np.uint64(population))])
    videos = pa.array(names).take(pa.array(np.repeat(np.arange(len(names)), counts)))
    columns = {
        "video_id": videos,
        "comment_id": random_ids(generator, rows),
        "user_key": keys_of(keys, USER_KEY_BYTES),
        "commented_at_ms": pa.array(generator.integers(1_600_000_000_000, 1_700_000_000_000, rows)),
    }
    return pa.table({name: columns[name] for name in CRAWLED_COMMENTS.names}, schema=CRAWLED_COMMENTS)


def _add_videos(run: Run, names: list[str]) -> None:
    """Pages, and files of which the ledger alone knows."""
    site = run.recipe.instances[0]
    media = tuple(MediaLink(kind, f"{site}/media/{kind}") for kind in _KINDS)
    pages = [PageRow(name, f"{site}/v/{name}", title="A title of words", media=media) for name in names]
    rows: list[dict[str, Any]] = [
        {
            "platform": "sandbox",
            "video_id": page.video_id,
            "page_url": page.url,
            "title": page.title,
            "tags": [],
            "media": [],
            "like_count": 20_000,
            "crawled_at_ms": 1_700_000_000_000,
        }
        for page in pages
    ]
    part = write_part(run.folder, "videos", pa.Table.from_pylist(rows, schema=CRAWLED_VIDEOS))
    run.ledger.commit_crawl(pages=pages, selections=[Selected(name, "seed", None, 0) for name in names], part=part)
    run.ledger.commit_assets([_asset(name, kind) for name in names for kind in _KINDS])


def _asset(name: str, kind: AssetKind) -> AssetRecord:
    sha256 = hashlib.sha256(f"{name}{kind}".encode()).hexdigest()
    told: dict[str, Any] = {"mime": "image/jpeg", "dominant_share": 0.2} if kind == "cover" else {"mime": "video/mp4"}
    return AssetRecord("sandbox", name, kind, sha256, 200_000, is_decodable=True, **told)


class _Disk:
    """Looks every two seconds at what lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self.most = 0
        self._folder = folder
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            self.most = max(self.most, _size(self._folder))


def _size(folder: Path) -> int:
    """Bytes of all files, but for those that go while they are counted."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total

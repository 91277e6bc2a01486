"""Merging comments to interactions and users: CPU and memory against a bare COPY in and out of the same rows.

`--items 100000000` takes some 15 GB under TMPDIR. Polars, where it is installed, does the same job in the same run.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.made_comments import keys_of, mixed, random_ids
from benchmarks.measure import Cost, cost_of
from download_nodes.comment_parts import COMMENTS_LAYOUT
from integration.comments import StandingComments
from integration.draw import Draw
from integration.engines.duckdb import DuckEngine
from integration.integrated import add_interactions
from integration.interactions import count_interactions
from integration.pair_state import READINGS, read_state
from integration.sample import sample
from microlens.ledger_rows import Part
from microlens.parts import write_table
from microlens.privacy import USER_KEY_BYTES
from microlens.settings import Settings
from microlens.store import sha256_of
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.sampling_order import Arc

_PART_ROWS = 1_000_000
_MEAN_SESSION = 29
"""Interactions of a user, as in the paper's Table 1: 1.0 billion of 34.5 million users."""
_SAMPLE = 100_000
_NO_TWINS = pa.table({"video_id": pa.array([], pa.string()), "counts_for": pa.array([], pa.string())})
_COLUMNS = ("user_key", "video_id", "commented_at_ms", "comment_id")
_ORDER = ["user_key", "commented_at_ms", "comment_id", "video_id"]


def run(items: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: list[Path] = cost_of(
            _make_parts, folder, items
        ).value  # in a process of its own: memory is measured here
        jobs: dict[str, Callable[..., Any]] = {"merge, ours": _merge, "merge, COPY in and out": _copy}
        has_polars = importlib.util.find_spec("polars") is not None
        if has_polars:
            jobs["merge, Polars"] = _merge_in_polars
        costs = {what: cost_of(job, folder, parts) for what, job in jobs.items()}
        jobs = {"subset, ours": _subset, "subset, bare scan": _scan}
        if has_polars:
            jobs["subset, Polars"] = _subset_in_polars
        users = min(_SAMPLE, items // _MEAN_SESSION // 5)
        costs |= {what: cost_of(job, folder, users) for what, job in jobs.items()}
        bytes_in = sum(path.stat().st_size for path in parts) / items
        bytes_a_row = sum(path.stat().st_size for path in (folder / "integrated/pairs").rglob("*.parquet")) / items
    yield f"{items:,} comments to {costs['merge, ours'].value:,} interactions and users"
    yield f"bytes a row: {bytes_in:.1f} in parts, {bytes_a_row:.1f} merged"
    yield f"subset: the interactions of {users:,} users"
    yield from (_line(what, cost, costs[_FLOOR_OF[what.partition(",")[0]]]) for what, cost in costs.items())


_FLOOR_OF = {"merge": "merge, COPY in and out", "subset": "subset, bare scan"}


def _line(what: str, cost: Cost, floor: Cost) -> str:
    numbers = f"{cost.cpu_s:8.2f} CPU-s  {cost.wall_s:8.2f} s  {cost.peak_mb:8.0f} MB"
    return f"  {what:24}{numbers}  {cost.cpu_s / floor.cpu_s:6.2f} CPU  {cost.peak_mb / floor.peak_mb:6.2f} MB"


def _merge(folder: Path, parts: list[Path]) -> int:
    settings = Settings()
    listed = [Part(path.stem, "comments", path.name, _rows(path), sha256_of(path)) for path in parts]
    # One video a part stands for all of its own: whole parts are what a crawl leaves.
    columns = ([part.part_id for part in listed], [0] * len(listed), [part.path for part in listed])
    readings = pa.table([*columns, [part.rows for part in listed]], names=READINGS.names).cast(READINGS)
    run: Any = SimpleNamespace(
        folder=folder,
        integrated=folder / "integrated",
        recipe=SimpleNamespace(seed=0, comments=SimpleNamespace(max_per_video=5000)),
        ledger=SimpleNamespace(parts=lambda _: listed),
    )
    comments = StandingComments(readings)
    with DuckEngine(settings, folder / "tmp") as engine:
        engine.add_files("items", [folder / "items.parquet"])
        engine.add_table("twins", _NO_TWINS)
        return count_interactions(run, engine, comments, settings.bucket_rows).rows


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _copy(folder: Path, parts: list[Path]) -> None:
    connection = _duckdb(folder)
    listed = ", ".join(f"'{path}'" for path in parts)
    source = f"SELECT {', '.join(_COLUMNS)} FROM read_parquet([{listed}])"
    connection.execute(f"COPY ({source}) TO '{folder}/copy.parquet' (FORMAT parquet, COMPRESSION zstd)").fetchall()
    (folder / "copy.parquet").unlink()


def _merge_in_polars(folder: Path, parts: list[Path]) -> int:
    pl: Any = importlib.import_module("polars")  # no part of the project

    pairs = folder / "polars-pairs.parquet"
    items = pl.scan_parquet(folder / "items.parquet")
    rows = pl.scan_parquet(parts).select(_COLUMNS).join(items, on="video_id", how="semi").sort(_ORDER)
    rows.unique(["user_key", "video_id"], keep="first", maintain_order=True).sink_parquet(pairs)
    pl.scan_parquet(pairs).group_by("user_key").len().sort("user_key").sink_parquet(folder / "polars-users.parquet")
    return int(pl.scan_parquet(pairs).select(pl.len()).collect().item())


def _subset(folder: Path, users: int) -> int:
    """Draw users, and take their interactions: what a release is made of."""
    with DuckEngine(Settings(), folder / "tmp") as engine:
        for name in ("items", "floors"):
            path = folder / f"{name}.parquet" if name == "items" else folder / "integrated" / f"{name}.parquet"
            engine.add_files(name, [path])
        engine.add_table("twins", _NO_TWINS)
        engine.add_files("users", sorted((folder / "integrated/users").glob("*.parquet")))
        pairs = folder / "integrated/pairs"
        files = [pairs / file.path for file in read_state(pairs).merged]

        def add_pairs(arc: Arc | None) -> None:
            own = [path for part, path in enumerate(files) if arc is None or arc.touches(part, len(files))]
            add_interactions(engine, own)
            engine.add_view("drawn_from", "SELECT * FROM interactions")

        return sample(engine, Draw(users=users), 0, folder / "drawn", lambda _: None, add_pairs=add_pairs).pairs


def _scan(folder: Path, users: int) -> int:
    """The least that finds the rows of so many users: hash the user column, and take the few that are below a bound."""
    connection = _duckdb(folder)
    pairs = f"read_parquet('{folder}/integrated/pairs/merge-*/*.parquet')"
    known = connection.execute(f"SELECT count(*) FROM '{folder}/integrated/users/*.parquet'").fetchall()[0][0]
    bound = users * 2**64 // known
    found = connection.execute(f"SELECT count(*) FROM {pairs} WHERE hash(user_key) < {bound}::UHUGEINT").fetchall()
    return int(found[0][0])


def _subset_in_polars(folder: Path, users: int) -> int:
    pl: Any = importlib.import_module("polars")

    counts = pl.scan_parquet(folder / "polars-users.parquet").filter(pl.col("len") >= 5)  # noqa: PLR2004
    drawn = counts.with_columns(pl.col("user_key").hash(0).alias("place")).sort("place").head(users)
    pairs = pl.scan_parquet(folder / "polars-pairs.parquet").join(drawn.select("user_key"), on="user_key", how="semi")
    drawn_pairs = folder / "polars-drawn.parquet"
    pairs.sort(_ORDER).sink_parquet(drawn_pairs)
    return int(pl.scan_parquet(drawn_pairs).select(pl.len()).collect().item())


def _duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    limits: dict[str, Any] = {"memory_limit": "2GB", "threads": 2, "temp_directory": str(folder / "tmp2")}
    connection = duckdb.connect(config=limits)
    connection.execute("SET enable_progress_bar = false")
    return connection


def _make_parts(folder: Path, rows: int) -> list[Path]:
    """Random comments, sorted by video: Zipf-like videos, users with 29 each, keys and ids as nodes make them."""
    generator = np.random.default_rng(0)
    videos = max(100, rows // 880)
    names = pa.array([f"v{n:07d}" for n in range(videos)])
    pq.write_table(pa.table({"video_id": names}), folder / "items.parquet")
    weights = 1.0 / np.arange(1, videos + 1) ** 0.7
    cumulative = np.cumsum(weights / weights.sum())
    population = max(1, rows // _MEAN_SESSION)
    parts = []
    for start in range(0, rows, _PART_ROWS):
        count = min(_PART_ROWS, rows - start)
        users = generator.integers(0, population, count, dtype=np.uint64)
        keys = np.column_stack([mixed(users), mixed(users + np.uint64(population))])
        places = np.sort(np.searchsorted(cumulative, generator.random(count)))
        table = pa.table(
            {
                "video_id": names.take(pa.array(places)),
                "comment_id": random_ids(generator, count),
                "user_key": keys_of(keys, USER_KEY_BYTES),
                "commented_at_ms": pa.array(generator.integers(1_600_000_000_000, 1_700_000_000_000, count)),
            },
            schema=CRAWLED_COMMENTS,
        )
        parts.append(folder / f"part-{start:010d}.parquet")
        write_table(parts[-1], table, **COMMENTS_LAYOUT)
    return parts

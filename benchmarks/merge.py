"""Merging comments to interactions: the step's CPU and memory against a bare COPY in and out of the same rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import cost_of
from integration.engines.duckdb import DuckEngine
from microlens.settings import Settings
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART_ROWS = 1_000_000
_MEAN_SESSION = 7


def run(items: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = _make_parts(folder, items)
        ours, floor = cost_of(_ours, folder, parts), cost_of(_floor, folder, parts)
    yield f"merge of {items:,} comments to {ours.value:,} interactions, and users"
    yield f"  ours   {ours.cpu_s:8.2f} CPU-s  {ours.wall_s:8.2f} s  {ours.peak_mb:8.0f} MB"
    yield f"  floor  {floor.cpu_s:8.2f} CPU-s  {floor.wall_s:8.2f} s  {floor.peak_mb:8.0f} MB  (COPY in and out)"
    cpu, wall, memory = ours.cpu_s / floor.cpu_s, ours.wall_s / floor.wall_s, ours.peak_mb / floor.peak_mb
    yield f"  ratio  {cpu:8.2f}        {wall:8.2f}    {memory:8.2f}"


def _ours(folder: Path, parts: list[Path]) -> int:
    with DuckEngine(Settings(), folder / "tmp") as engine:
        engine.add_files("crawled_comments", parts, CRAWLED_COMMENTS)
        engine.add_files("items", [folder / "items.parquet"], CRAWLED_COMMENTS)
        rows = engine.run("interactions", folder / "interactions.parquet", {"max_per_video": 5000})
        engine.run("users", folder / "users.parquet", {"seed": 0})
    return rows


def _floor(folder: Path, parts: list[Path]) -> None:
    connection = duckdb.connect(config={"memory_limit": "2GB", "threads": 2, "temp_directory": str(folder / "tmp2")})
    listed = ", ".join(f"'{path}'" for path in parts)
    columns = "user_key, video_id, commented_at_ms, comment_id"
    source = f"SELECT {columns} FROM read_parquet([{listed}])"
    connection.execute(f"COPY ({source}) TO '{folder}/copy.parquet' (FORMAT parquet, COMPRESSION zstd)").fetchall()


def _make_parts(folder: Path, rows: int) -> list[Path]:
    """Random comments: Zipf-like videos, users with a handful each, keys of 16 bytes."""
    generator = np.random.default_rng(0)
    videos = max(100, rows // 880)
    names = pa.array([f"v{n:07d}" for n in range(videos)])
    pq.write_table(pa.table({"video_id": names}), folder / "items.parquet")
    weights = 1.0 / np.arange(1, videos + 1) ** 0.7
    cumulative = np.cumsum(weights / weights.sum())
    parts = []
    for start in range(0, rows, _PART_ROWS):
        count = min(_PART_ROWS, rows - start)
        users = generator.integers(0, max(1, rows // _MEAN_SESSION), count, dtype=np.uint64)
        keys = np.column_stack([users * np.uint64(0x9E3779B97F4A7C15), users ^ np.uint64(0xD1B54A32D192ED03)])
        table = pa.table(
            {
                "platform": pa.repeat(pa.scalar("bench"), count),
                "video_id": names.take(pa.array(np.searchsorted(cumulative, generator.random(count)))),
                "comment_id": pa.array([f"c{start + n:010d}" for n in range(count)]),
                "user_key": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(keys)]),
                "text": pa.nulls(count, pa.string()),
                "gender": pa.nulls(count, pa.string()),
                "commented_at_ms": pa.array(generator.integers(1_600_000_000_000, 1_700_000_000_000, count)),
            },
            schema=CRAWLED_COMMENTS,
        )
        parts.append(folder / f"part-{start}.parquet")
        pq.write_table(table, parts[-1], compression="zstd")
    return parts

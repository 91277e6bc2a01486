"""Read what a benchmark needs of a release: who met which item when, and how many items there are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError, NotReadyError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Interactions:
    """One row per public comment, in the order of the release; items and users count from 1."""

    name: str
    item_count: int
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    timestamp_ms: NDArray[np.int64]


def load_release(folder: Path) -> Interactions:
    """Load `data/interactions.parquet`, and count the rows of `data/items.parquet`."""
    columns = ("user_id", "item_id", "timestamp_ms")
    path = _finished(folder, "interactions")
    try:
        table = pq.read_table(path, columns=list(columns))
        item_count = pq.read_metadata(_finished(folder, "items")).num_rows
        user, item, timestamp_ms = (table[column].to_numpy().astype(np.int64) for column in columns)
    except (pa.ArrowException, KeyError) as error:
        raise CorruptDataError(
            f"{path} cannot be read as user_id, item_id, timestamp_ms: {error}",
            hint="build the release again with `microlens-build release`",
        ) from error
    _check_items(item, item_count, path)
    return Interactions(folder.resolve().name, item_count, user, item, timestamp_ms)


def manifest_sha256(folder: Path) -> str | None:
    """Hash the manifest's bytes, so that a leaderboard names the exact release; None where it has none."""
    manifest = folder / "_manifest.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None


def _finished(folder: Path, table: str) -> Path:
    path = folder / "data" / f"{table}.parquet"
    if not path.is_file():
        raise NotReadyError(
            f"{folder} is no finished release: {path} does not exist",
            hint="run `microlens-build release` first, or name a folder such as releases/<name>",
        )
    return path


def _check_items(item: NDArray[np.int64], item_count: int, path: Path) -> None:
    if not len(item):
        raise NotReadyError(
            f"{path} has no interactions, so there is nothing to train on or to rank",
            hint="loosen the filters of the recipe and run `microlens-build release` again",
        )
    lowest, highest = int(item.min()), int(item.max())
    if lowest < 1 or highest > item_count:
        raise CorruptDataError(
            f"{path} has item ids {lowest} to {highest}, but items.parquet has {item_count} items numbered from 1",
            hint="build the release again with `microlens-build release`",
        )

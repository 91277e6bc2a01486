"""Read what a benchmark needs of a release: who met which item when, and how many items there are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_BUILD_AGAIN = "delete the release's folder and build it again with `microlens-build subset`"


@dataclass(frozen=True)
class Interactions:
    """One row per public comment, in the order of the release; items count from 1 without gaps.

    A release's own ids may have holes, where items were taken down; here they are numbered anew, in the same order.
    """

    name: str
    item_ids: NDArray[np.int64]
    """(N,) Items in the order of their numbers, as the release calls them."""
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    position: NDArray[np.int64]
    """Place in the user's sequence, oldest first."""
    timestamp_ms: NDArray[np.int64] | None = None
    """Milliseconds since 1970, UTC; None where the release does not tell all of them."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was removed from the release's own rows, and how much of it."""

    @property
    def item_count(self) -> int:
        return len(self.item_ids)


def load_release(folder: Path) -> Interactions:
    """Load `data/interactions.parquet`, its items numbered by `data/items.parquet`.

    Times may be null, and the column may be missing: only what needs them refuses.
    """
    columns = ("user_id", "item_id", "position")
    path, ids = table_path(folder, "interactions"), item_ids(folder)
    try:
        table = pq.read_table(path, columns=list(columns))
        user, item, position = (table[column].to_numpy().astype(np.int64) for column in columns)
        times = _times(path)
    except (pa.ArrowException, KeyError) as error:
        raise CorruptDataError(
            f"{path} cannot be read as user_id, item_id, position: {error}", hint=_BUILD_AGAIN
        ) from error
    _check_items(item, ids, path)
    return Interactions(folder.resolve().name, ids, user, np.searchsorted(ids, item) + 1, position, times)


def _times(path: Path) -> NDArray[np.int64] | None:
    if "timestamp_ms" not in pq.read_schema(path).names:
        return None
    times = pq.read_table(path, columns=["timestamp_ms"])["timestamp_ms"]
    return None if times.null_count else times.to_numpy().astype(np.int64)


def item_ids(folder: Path) -> NDArray[np.int64]:
    """The release's own ids, in the order in which `load_release` numbers items from 1: (N,)."""
    path = table_path(folder, "items")
    try:
        return np.sort(pq.read_table(path, columns=["item_id"])["item_id"].to_numpy().astype(np.int64))
    except (pa.ArrowException, KeyError) as error:
        raise CorruptDataError(f"{path} cannot be read as item_id: {error}", hint=_BUILD_AGAIN) from error


def manifest_sha256(folder: Path) -> str | None:
    """Hash the manifest's bytes, so that a leaderboard names the exact release; None where it has none."""
    manifest = folder / "_manifest.json"
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None


def table_path(folder: Path, table: str) -> Path:
    """Where a release's table lies; NotReadyError if there is none."""
    path = folder / "data" / f"{table}.parquet"
    if not path.is_file():
        raise NotReadyError(
            f"{folder} is no finished release: {path} does not exist",
            hint="make one with `microlens-build subset` or `microlens-build import`, or name a folder such as "
            "runs/<run>/releases/<name>",
        )
    return path


def _check_items(item: NDArray[np.int64], item_ids: NDArray[np.int64], path: Path) -> None:
    if not len(item):
        raise NotReadyError(
            f"{path} has no interactions, so there is nothing to train on or to rank",
            hint="loosen the filters of the recipe and run `microlens-build run` again",
        )
    unknown = np.setdiff1d(item, item_ids)
    if len(unknown):
        raise CorruptDataError(
            f"{path} names {len(unknown)} items that items.parquet does not have, such as {unknown[:3].tolist()}",
            hint=_BUILD_AGAIN,
        )
    if item_ids[0] < 1:
        raise CorruptDataError(
            f"the items of {path.with_name('items.parquet')} are not numbered from 1: the first is {item_ids[0]}",
            hint=_BUILD_AGAIN,
        )

"""Features that others made, such as the files published with MicroLens: one row per item, in the order of ids.

    .npy    (N, F), row i is item i + 1: how MicroLens publishes them; or a row for each item of the release, in order
    .csv    item id, then F numbers; lines in any order, a first line of names is passed over, other items are left out

Ids are the items' own: those of the files that an imported release was made of (`data/imported_item_ids.parquet`), else
the release's. N is the largest of them, or the number of the release's items: a table with any other number of rows is
another dataset's. An item whose numbers are not all finite has no feature, and a row of zeros.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from benchmark.data.feature_draft import Draft, Features, check_dtype, one_maker
from benchmark.data.features import features_folder, items_sha256, read_items
from microlens import __version__
from microlens.errors import CorruptDataError, RecipeError
from microlens.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


NOT_FINITE = "not_finite"
"""Why an item that has a row has no feature."""


def import_features(release: Path, source: Path, name: str, *, dtype: str = "float32") -> Features:
    """Take over a file of features as `<release>/features/<name>/`; RecipeError if it does not fit the release."""
    check_dtype(dtype)
    folder = features_folder(release, name)
    item_ids = np.array([item.item_id for item in read_items(release)])
    if not source.is_file():
        raise RecipeError(f"there is no file {source}", hint="name a .npy or .csv file")
    read = _read_csv if source.suffix == ".csv" else _read_npy
    found = read(source, _own_ids(release, item_ids))
    has_feature = np.isfinite(found).all(axis=1).reshape(-1)
    if not has_feature.any():
        raise RecipeError(f"{source} has no row whose numbers are all finite", hint="mend the file")
    found = np.where(has_feature[:, None], found, 0)
    if np.abs(found).max() > np.finfo(dtype).max:
        raise RecipeError(f"{source} has numbers too large for {dtype}", hint="choose --dtype float32")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    sha256 = sha256_of(source)
    with one_maker(folder) as partial:
        draft = Draft(partial, {"imported": sha256, "dtype": dtype}, found.shape, dtype)
        draft.rows[:] = found
        manifest = draft.publish(
            folder,
            [
                (int(item_id), None if has else NOT_FINITE)
                for item_id, has in zip(item_ids, has_feature.tolist(), strict=True)
            ],
            run_id=release.resolve().name,
            code_version=__version__,
            recipe_sha256=sha256,
            inputs={"items": items_sha256(release), "file": sha256},
            counters={
                "encoder": None,
                "imported_from": source.name,
                "dtype": dtype,
                "shape": list(found.shape),
                "items": len(found),
                "items_with_feature": int(has_feature.sum()),
            },
            started_at=started,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    return Features(name, folder, manifest.counters, [], is_new=True)


def _own_ids(release: Path, item_ids: NDArray[np.integer]) -> NDArray[np.integer]:
    """Give each item's number in the files that the release was made of (N,); its public one if it has no other."""
    path = release / "data" / "imported_item_ids.parquet"
    if not path.is_file():
        return item_ids
    table = pq.read_table(path).sort_by("item_id")
    own = table["original_id"].to_pylist()
    if table["item_id"].to_pylist() != item_ids.tolist():
        raise CorruptDataError(f"{path} does not list the items of the release", hint="import the release again")
    return np.array([int(each) for each in own]) if all(map(str.isdecimal, own)) else item_ids


def _read_npy(source: Path, own: NDArray[np.integer]) -> NDArray[np.floating]:
    try:
        rows = np.load(source, mmap_mode="r", allow_pickle=False)  # a pickle could run what it likes
    except (ValueError, EOFError, OSError) as error:
        raise RecipeError(f"{source} is no .npy file of numbers: {error}", hint="save it with numpy.save") from error
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or not rows.shape[1]:  # noqa: PLR2004 - items and numbers
        raise RecipeError(f"{source} holds {rows.dtype} of shape {rows.shape}", hint="it must be (items, numbers)")
    if len(rows) == own.max():
        return rows[own - 1]  # type: ignore[no-any-return]
    if len(rows) != len(own):
        raise RecipeError(
            f"{source} has rows for {len(rows):,} items; the release has {len(own):,}, with ids up to {own.max():,}",
            hint="it belongs to another dataset: its row i must be item i + 1, or the release's (i + 1)-th",
        )
    return rows  # type: ignore[no-any-return]


def _read_csv(source: Path, own: NDArray[np.integer]) -> NDArray[np.floating]:
    try:
        with source.open("rb") as file:
            is_head = not file.readline().split(b",")[0].strip(b' "\r\n').isdigit()
        table = csv.read_csv(source, csv.ReadOptions(autogenerate_column_names=True, skip_rows=int(is_head)))
        ids = table.column(0).cast(pa.int64()).to_numpy()
        rows = np.column_stack([table.column(at).cast(pa.float32()).to_numpy() for at in range(1, table.num_columns)])
    except (pa.ArrowException, ValueError, OSError) as error:
        raise RecipeError(
            f"{source} cannot be read as an item's id and numbers: {str(error).splitlines()[0]}",
            hint="each line must be ID,NUMBER,NUMBER, ... of equal length",
        ) from error
    lines = {item_id: line for line, item_id in enumerate(ids.tolist())}
    missing = [item_id for item_id in own.tolist() if item_id not in lines]
    if missing or len(lines) < len(ids):
        wrong = f"lacks {len(missing):,} items, such as {missing[0]}" if missing else "has an item twice"
        raise RecipeError(f"{source} {wrong}", hint="each item of the release must begin one line with its id")
    return rows[[lines[item_id] for item_id in own.tolist()]]

"""Features that others made, such as the files published with MicroLens: one row an item, in the order of ids.

    .npy    (N, F), row i is item i + 1: how MicroLens publishes them
    .csv    item id, then F numbers; rows in any order, a first line of names is passed over

N is the release's largest item id: a file with fewer rows, or more, is another dataset's. Of a release with holes,
where items were taken down, the rows of items that are gone are left out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import csv

from benchmark.data.feature_draft import Draft, one_maker
from benchmark.data.features import features_folder, items_sha256, read_items
from benchmark.features import Features
from microlens import __version__
from microlens.errors import RecipeError
from microlens.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def import_features(release: Path, source: Path, name: str) -> Features:
    """Take over a file of features as `<release>/features/<name>/`; RecipeError if it does not fit the release."""
    folder = features_folder(release, name)
    item_ids = np.array([item.item_id for item in read_items(release)])
    if not source.is_file():
        raise RecipeError(f"there is no file {source}", hint="name a .npy or .csv file")
    rows = _read_csv(source) if source.suffix == ".csv" else _read_npy(source)
    if len(rows) != item_ids.max():
        raise RecipeError(
            f"{source} has rows for {len(rows):,} items; the release's items go up to {item_ids.max():,}",
            hint="it belongs to another dataset, or to a subset: its row i must be the release's item i + 1",
        )
    found = rows[item_ids - 1]
    if not np.isfinite(found).all():
        bad = item_ids[~np.isfinite(found).all(1)]
        raise RecipeError(f"{source} has numbers that are not finite, of item {bad[0]}", hint="mend the file")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    sha256 = sha256_of(source)
    with one_maker(folder) as partial:
        draft = Draft(partial, {"imported": sha256}, found.shape, "float32")
        draft.rows[:] = found
        manifest = draft.publish(
            folder,
            [(int(item_id), None) for item_id in item_ids],
            run_id=release.resolve().name,
            code_version=__version__,
            recipe_sha256=sha256,
            inputs={"items": items_sha256(release), "file": sha256},
            counters={
                "encoder": None,
                "imported_from": source.name,
                "dtype": "float32",
                "shape": list(found.shape),
                "items": len(found),
                "items_with_feature": len(found),
            },
            started_at=started,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    return Features(name, folder, manifest.counters, [], is_new=True)


def _read_npy(source: Path) -> NDArray[np.floating]:
    try:
        rows = np.load(source, mmap_mode="r", allow_pickle=False)  # a pickle could run what it likes
    except (ValueError, EOFError, OSError) as error:
        raise RecipeError(f"{source} is no .npy file of numbers: {error}", hint="save it with numpy.save") from error
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":  # noqa: PLR2004 - items and numbers
        raise RecipeError(f"{source} holds {rows.dtype} of shape {rows.shape}", hint="it must be (items, numbers)")
    return rows  # type: ignore[no-any-return]


def _read_csv(source: Path) -> NDArray[np.floating]:
    """Give the rows in the order of their ids, which must be 1 to N, each once."""
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
    order = np.argsort(ids)
    if not np.array_equal(ids[order], np.arange(1, len(ids) + 1)):
        raise RecipeError(
            f"the first column of {source} is not the item ids 1 to {len(ids):,}, each once",
            hint="each line must begin with the id of its item",
        )
    return rows[order]

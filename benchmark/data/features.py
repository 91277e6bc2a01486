"""Vectors of a release's items, made once by frozen encoders: where they lie, and whether they fit the release.

<release>/features/<name>/
    features.npy     (N, F): row i is the item that the benchmark numbers i + 1, which is item_id i + 1 unless items
                     were taken down
    ids.parquet      a row per item, in the same order: item_id, has_feature, and why not
    _manifest.json   written last: encoder, hash of its weights, what was done to an input, counts

The release's own manifest lists none of this, and none of it changes a file that it lists. A release of foreign files
may have brought features, as <release>/features/<name>.npy, which its manifest lists; they are read as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmark.data.release import table_path
from benchmark.encoders import ENCODERS
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.manifest import MANIFEST_NAME, Manifest, read_manifest, verify, verify_output
from microlens.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

FEATURES, IDS = "features.npy", "ids.parquet"
IDS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("item_id", pa.int32(), nullable=False),
        pa.field("has_feature", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
    ]
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Item:
    item_id: int
    title: str
    cover: str | None
    """Path within the release; None if it has none."""
    cover_sha256: str | None
    video: str | None
    video_sha256: str | None


def read_items(release: Path) -> list[Item]:
    """List a release's items in the order of their ids; what its table has no column for is None."""
    path = table_path(release, "items")
    try:
        table = pq.read_table(path).sort_by("item_id")
        ids = table["item_id"].to_pylist()
        columns = ("title", "cover_path", "cover_sha256", "video_path", "video_sha256")
        told = [table[name].to_pylist() if name in table.column_names else [None] * len(ids) for name in columns]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise CorruptDataError(f"{path} cannot be read: {error}", hint="get the release again") from error
    for name in {*told[1], *told[3]} - {None}:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CorruptDataError(
                f"{path} names a file outside of the release: {name!r}", hint="do not use this release"
            )
    return [Item(item_id, title or "", *rest) for item_id, title, *rest in zip(ids, *told, strict=True)]


def items_sha256(release: Path) -> str:
    """Hash what features are bound to: the table of items, which holds their titles and their files' hashes."""
    return sha256_of(table_path(release, "items"))


def features_folder(release: Path, name: str) -> Path:
    """Where features of this name lie; RecipeError for a name that is no file name."""
    if not _NAME.fullmatch(name):
        raise RecipeError(f"{name!r} cannot name features", hint="use letters, digits, dots, dashes and underscores")
    return release / "features" / name


def load_features(release: Path, name: str) -> torch.Tensor:
    """Load features (V, F) in float32, on the CPU; V = items + 1, row 0 and rows of items without a feature are zeros.

    NotReadyError, with the command that makes them, if there are none or they are another release's; CorruptDataError
    if their bytes are not those that were written.
    """
    path = _checked(release, name)
    rows = np.load(path, mmap_mode="r", allow_pickle=False)
    count = pq.read_metadata(table_path(release, "items")).num_rows
    if rows.ndim != 2 or len(rows) != count:  # noqa: PLR2004 - items and numbers
        raise CorruptDataError(
            f"{path} is of shape {rows.shape}, and the release has {count:,} items", hint=_command(release, name)
        )
    padded = np.zeros((count + 1, rows.shape[1]), np.float32)
    padded[1:] = rows
    padded[~np.isfinite(padded).all(1)] = 0  # of imported ones alone: what has no number has no feature
    return torch.from_numpy(padded)


def _checked(release: Path, name: str) -> Path:
    """Find the rows: made here, or a file that came with an imported release, and is listed in its manifest."""
    folder = features_folder(release, name)
    if (folder / MANIFEST_NAME).is_file() or not (release / MANIFEST_NAME).is_file():
        check_features(release, name)
        return folder / FEATURES
    for output in read_manifest(release, next_step="build the release").outputs:
        if output.path == f"features/{name}.npy":
            return verify_output(release, output)
    check_features(release, name)  # there are none: it says so
    raise AssertionError(name)


def load_feature_ids(release: Path, name: str) -> pa.Table:
    """Which items have a feature, and why others have none (`IDS_SCHEMA`); of features that were made, and checked."""
    check_features(release, name)
    return pq.read_table(features_folder(release, name) / IDS)


def check_features(release: Path, name: str) -> Manifest:
    """Refuse features that are not there, are another release's, or have changed; gives their manifest."""
    folder = features_folder(release, name)
    if not (folder / MANIFEST_NAME).is_file():
        known = feature_names(release)
        others = (
            f", or train on those with `--set features={known[0]}`"
            if known
            else "; where there are no videos, take titles: `--encoder text`, and train with `--set features=text`"
        )
        raise NotReadyError(
            f"the release {release} has no features {name!r} (it has: {', '.join(known) or 'none'})",
            hint=_command(release, name) + others,
        )
    manifest = verify(folder)
    if manifest.inputs.get("items") != items_sha256(release):
        raise NotReadyError(
            f"the features in {folder} were made of another release, or of another version of {release.resolve().name}",
            hint=_command(release, name),
        )
    return manifest


def encoder_of(release: Path, name: str) -> str | None:
    """Which encoder made features that stand there; None for imported ones, of which nobody knows."""
    folder = features_folder(release, name)
    if not (folder / MANIFEST_NAME).is_file():
        return None
    encoder = read_manifest(folder, next_step=_command(release, name)).counters.get("encoder")
    return None if encoder is None else str(encoder)


def feature_names(release: Path) -> list[str]:
    """Name a release's features: those that were made, and those that came with it."""
    made = {path.parent.name for path in (release / "features").glob(f"*/{MANIFEST_NAME}")}
    return sorted(made | {path.stem for path in (release / "features").glob("*.npy")})


def _command(release: Path, name: str) -> str:
    encoder = f"--encoder {name}" if name in ENCODERS else f"--name {name}, and an --encoder or a file to import"
    return f"make them with `microlens-build features {release} {encoder}`"


def finished_features(release: Path, name: str) -> Manifest | None:
    """The manifest of features that stand there, undamaged and of this release."""
    try:
        return check_features(release, name)
    except (NotReadyError, CorruptDataError):
        return None

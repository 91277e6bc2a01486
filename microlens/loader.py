"""Reads a release: pairs, items, users and media, from the files where they lie.

dataset = load("runs/demo/releases/demo")
dataset.pairs                 # pyarrow table: user_id, item_id, timestamp_ms, position
dataset.items                 # pyarrow table: item_id, title, tags ...
dataset.covers[1]             # PIL image of item 1
dataset.videos[1]             # path of its video
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError, NotReadyError
from microlens.manifest import Manifest, read_manifest, verify

if TYPE_CHECKING:
    from PIL.Image import Image

_FETCH_AGAIN = "`Dataset.verify()` tells what is damaged; get the release again, or build it again"


class Paths(Mapping[int, Path]):
    """Files of one kind by item id; an item without one is absent."""

    def __init__(self, root: Path, ids: list[int], names: list[str | None]) -> None:
        self._root = root
        self._names = {item: name for item, name in zip(ids, names, strict=True) if name is not None}

    def __getitem__(self, item_id: int) -> Path:
        if item_id not in self._names:
            raise KeyError(f"no file for item {item_id}: items are numbered from 1 and some have none")
        return self._root / self._names[item_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Covers(Mapping[int, "Image"]):
    """Cover pictures by item id, read when asked for."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def __getitem__(self, item_id: int) -> Image:
        from PIL import Image  # noqa: PLC0415 - only covers need it

        path = self.paths[item_id]
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except OSError as error:
            raise CorruptDataError(f"the cover {path} cannot be read: {error}", hint=_FETCH_AGAIN) from error

    def __iter__(self) -> Iterator[int]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


class Dataset:
    """One release. Tables are read when first asked for, then kept."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def pairs(self) -> pa.Table:
        """Interactions by user, oldest first: user_id, item_id, timestamp_ms, position."""
        return self._table("interactions")

    @cached_property
    def items(self) -> pa.Table:
        """Items by id, from 1: item_id, title, tags, counts, media paths."""
        return self._table("items")

    @cached_property
    def users(self) -> pa.Table:
        return self._table("users")

    @cached_property
    def comments(self) -> pa.Table:
        """Texts of the interactions, where the release has them."""
        return self._table("comments")

    @cached_property
    def imported_items(self) -> pa.Table:
        """Of an imported release: item_id, and `original_id`, the item's id in the files that were imported."""
        return self._table("imported_item_ids")

    @cached_property
    def imported_users(self) -> pa.Table:
        """Of an imported release: user_id, and `original_id`, the user's id in the files that were imported."""
        return self._table("imported_user_ids")

    @cached_property
    def covers(self) -> Covers:
        return Covers(self._paths("cover"))

    @cached_property
    def videos(self) -> Paths:
        return self._paths("video")

    @cached_property
    def audios(self) -> Paths:
        return self._paths("audio")

    def verify(self) -> None:
        """Check every file against the manifest; CorruptDataError names the first that differs."""
        verify(self.path)

    def _table(self, name: str) -> pa.Table:
        path = self.path / "data" / f"{name}.parquet"
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise CorruptDataError(f"the table {path} cannot be read: {error}", hint=_FETCH_AGAIN) from error

    def _paths(self, kind: str) -> Paths:
        return Paths(self.path, self.items["item_id"].to_pylist(), self.items[f"{kind}_path"].to_pylist())

    def __repr__(self) -> str:
        counts: dict[str, Any] = self.manifest.counters
        numbers = ", ".join(f"{counts[name]:,} {name}" for name in ("users", "items", "interactions") if name in counts)
        return f"<Dataset {self.name}: {numbers}>"


def load(path: str | Path) -> Dataset:
    """Open the release in a folder; NotReadyError if there is no finished one."""
    folder = Path(path)
    if not folder.is_dir():
        raise NotReadyError(
            f"there is no release in {folder.resolve()}", hint="releases lie in runs/<run>/releases/<name>"
        )
    return Dataset(folder, read_manifest(folder, next_step="build it with `microlens-build subset`"))

"""What else is known of a release's items: read when a model asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from benchmark.data.features import load_features
from benchmark.data.lists import Lists
from microlens.errors import CorruptDataError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Tags:
    of_item: Lists
    """Every item's tags, from 1; padding (row 0) has none."""
    count: int
    """How many different tags there are."""


class Side:
    """V items with padding; everything is numbered as the benchmark numbers items, from 1 without gaps."""

    def __init__(
        self,
        release: Path | None,
        *,
        features: Mapping[str, Tensor] | None = None,
        tags: Tags | None = None,
        items: NDArray[np.int64] | None = None,
    ) -> None:
        """Take a release's folder, or what would be read from one: `features` and `tags` stand above what it holds.

        Where `items` (W,) are named, only these are told of, numbered anew in their order.
        """
        self.release = release
        self._features = dict(features or {})
        self._tags = tags
        self._rows = None if items is None else torch.from_numpy(np.concatenate([[0], items]))

    def only(self, items: NDArray[np.int64]) -> Side:
        """Tell the same of some items (W,); a tag that none of them has keeps its number."""
        return Side(self.release, features=self._features, tags=self._tags, items=items)

    def features(self, name: str) -> Tensor:
        """Give frozen features (V, F) in float32, on the CPU; rows of padding and of items without any are zeros.

        NotReadyError, with the command that makes them, where there are none.
        """
        if name not in self._features:
            self._features[name] = load_features(self._folder(f"features {name!r}"), name)
        return self._features[name] if self._rows is None else self._features[name][self._rows]

    def tags(self) -> Tags:
        """Give the tags of `data/items.parquet`. NotReadyError if no item has any."""
        if self._tags is None:
            self._tags = _read_tags(self._folder("tags") / "data" / "items.parquet")
        return self._tags if self._rows is None else replace(self._tags, of_item=self._tags.of_item.only(self._rows))

    def _folder(self, what: str) -> Path:
        if self.release is None:
            raise NotReadyError(f"no release is given, and no {what}", hint="name a release's folder")
        return self.release


def _read_tags(path: Path) -> Tags:
    try:
        lists = pq.read_table(path, columns=["item_id", "tags"]).sort_by("item_id")["tags"].combine_chunks()
        item, tag = pc.list_parent_indices(lists), pc.list_flatten(lists)
        item, names = item.filter(tag.is_valid()), tag.drop_null().dictionary_encode()
    except (pa.ArrowException, KeyError, OSError) as error:
        raise CorruptDataError(
            f"{path} cannot be read as item_id, tags: {error}", hint="get the release again"
        ) from error
    if not len(names):
        raise NotReadyError(f"no item of {path} has a tag", hint="leave out the models that use tags")
    counts = np.bincount(item.to_numpy(), minlength=len(lists))
    bounds = np.concatenate([[0, 0], np.cumsum(counts)])  # padding has none
    ids = names.indices.to_numpy().astype(np.int64) + 1
    return Tags(Lists(torch.from_numpy(ids), torch.from_numpy(bounds.astype(np.int64))), len(names.dictionary))

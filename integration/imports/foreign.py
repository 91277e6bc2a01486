"""What a foreign source holds, between its format's reader and the release: checked, and under its own ids.

A reader writes pairs (and comments) to Parquet as it reads them, so that what is in memory does not grow with them;
what is known of items and users comes as tables, one a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from integration.imports.times import TimeRange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """How a source is read, as far as its files do not tell."""

    time_unit: str = "auto"
    """In which times are told: one of integration.imports.times.CHOICES."""
    min_rating: float | None = None
    """Only pairs rated so or higher; None takes all."""
    has_gender: bool = False
    """Take users' gender, where the source tells it."""


@dataclass(frozen=True, slots=True)
class Files:
    """What of a source is read, found by name."""

    name: str
    """The dataset's own, as MicroLens-50k."""
    tables: Mapping[str, Path]
    """Text files by what they hold; `pairs` is always there."""
    media: Mapping[str, Path] = field(default_factory=dict)
    """Folders by kind, of ASSET_KINDS."""
    features: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
    """Names of what lies there and is not read."""


@dataclass(slots=True)
class Foreign:
    """A source that was read whole."""

    pairs: Path
    """Parquet: user_token, item_token (both int64, or both strings), time (float64, or null), place."""
    time_unit: str
    items: list[pa.Table] = field(default_factory=list)
    """Each with item_token and columns of the table items; the first line of an item counts."""
    users: pa.Table | None = None
    """user_token, gender."""
    comments: Path | None = None
    """Parquet: user_token, item_token, text, place."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What was read and what was left out."""


class PairsWriter:
    """Pairs on their way to disk, numbered as they come: `place` orders what has no time, and what has the same."""

    def __init__(self, path: Path, source: Path, token: pa.DataType, *, text: str | None = None) -> None:
        self.path, self.times, self.rows = path, TimeRange(source), 0
        columns = [("user_token", token), ("item_token", token), ("time", pa.float64()), ("place", pa.int64())]
        self._schema = pa.schema([*columns, (text, pa.string())] if text else columns)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", compression_level=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, users: pa.Array, items: pa.Array, *more: pa.Array, times: pa.Array | None = None) -> None:
        """Add pairs (N,); `more` are their texts."""
        places = pa.array(np.arange(self.rows, self.rows + len(users)))
        columns = [users, items, times if times is not None else pa.nulls(len(users), pa.float64()), places, *more]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self.rows += len(users)

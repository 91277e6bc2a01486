"""Dense public ids, drawn in keyed order; the private maps stay with the run.

A release name keeps its ids: a later version only appends. What is taken down leaves a hole that is never filled.
Keys stay in Arrow's arrays: 34.5 million users as Python objects would take 14 GB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError
from microlens.parts import write_table
from microlens.privacy import USER_KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from microlens.privacy import Pseudonymiser

USER_IDS = pa.schema([pa.field("user_key", pa.binary(16)), pa.field("user_id", pa.int32())])
ITEM_IDS = pa.schema([pa.field("video_id", pa.string()), pa.field("item_id", pa.int32())])

_AT_ONCE = 1 << 22
"""Keys of a map that are looked up in one piece: the hash table of all would take twice as much as the map."""
_DRAWN_AT_ONCE = 1 << 14


def assign_ids(
    path: Path, keys: pa.Array, schema: pa.Schema, pseudonyms: Pseudonymiser, *, into: Path | None = None
) -> pa.Array:
    """Give every key, each given once, its id from the map at `path`, appending those that are new.

    Gives the ids (int32) of `keys` alone, in their order. A map that grows is written to the folder `into`, if there is
    one: ids are not spent before the caller has published what they stand for, and moves it to its place.
    """
    ids, last = _known_ids(path, keys, schema)
    new = np.flatnonzero(ids == 0)
    new = new[np.argsort(_order_keys(keys, new, schema.names[1], pseudonyms), kind="stable")]
    ids[new] = np.arange(len(new), dtype=np.int32) + last + 1
    if len(new) or not path.exists():
        added = pa.table([keys.take(pa.array(new)), pa.array(ids[new])], schema=schema)
        known = pq.read_table(path, schema=schema) if path.exists() else schema.empty_table()
        write_table((into or path.parent) / path.name, pa.concat_tables([known, added]))
    return pa.array(ids)


def _known_ids(path: Path, keys: pa.Array, schema: pa.Schema) -> tuple[NDArray[np.int32], int]:
    """The ids that keys have already, 0 for none; and the last one that the map has given."""
    ids, given = np.zeros(len(keys), np.int32), [np.zeros(0, np.int32)]
    if not path.exists():
        return ids, 0
    with pq.ParquetFile(path) as known:
        for some in known.iter_batches(_AT_ONCE, columns=schema.names):
            place = pc.index_in(keys, value_set=some.column(0))
            is_known = place.is_valid().to_numpy(zero_copy_only=False)
            ids[is_known] = some.column(1).take(place.drop_null()).to_numpy()
            given.append(some.column(1).to_numpy())
    every = np.sort(np.concatenate(given))
    if (every[1:] == every[:-1]).any():
        raise CorruptDataError(
            f"the id map {path} gives an id twice",
            hint="restore it from a backup: without it, published ids would change",
        )
    return ids, int(every[-1]) if len(every) else 0


def _order_keys(
    keys: pa.Array, places: NDArray[np.int64], domain: str, pseudonyms: Pseudonymiser
) -> NDArray[np.bytes_]:
    """Where each of these keys stands in the public order: 16 bytes, compared as such."""
    drawn = np.empty(len(places), f"S{USER_KEY_BYTES}")
    for start in range(0, len(places), _DRAWN_AT_ONCE):
        some = keys.take(pa.array(places[start : start + _DRAWN_AT_ONCE])).to_pylist()
        joined = b"".join(pseudonyms.order_key(domain, key) for key in some)
        drawn[start : start + len(some)] = np.frombuffer(joined, drawn.dtype)
    return drawn

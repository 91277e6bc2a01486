"""Dense public ids, drawn in keyed order; the private maps stay with the run.

A release name keeps its ids: a later version only appends. What is taken down leaves a hole that is never filled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from microlens.errors import CorruptDataError
from microlens.parts import write_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from microlens.privacy import Pseudonymiser

Key = TypeVar("Key", str, bytes)

USER_IDS = pa.schema([pa.field("user_key", pa.binary(16)), pa.field("user_id", pa.int32())])
ITEM_IDS = pa.schema([pa.field("video_id", pa.string()), pa.field("item_id", pa.int32())])


def assign_ids(path: Path, keys: Iterable[Key], schema: pa.Schema, pseudonyms: Pseudonymiser) -> dict[Key, int]:
    """Give every key its id from the map at `path`, appending those that are new; gives the ids of `keys` alone."""
    known: dict[Key, int] = _read(path, schema)
    wanted = list(keys)
    domain = schema.names[1]
    new = sorted((key for key in wanted if key not in known), key=lambda key: pseudonyms.order_key(domain, key))
    first = max(known.values(), default=0) + 1
    known |= {key: first + place for place, key in enumerate(new)}
    if new or not path.exists():
        columns = (list(known), list(known.values()))
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        write_table(path, pa.Table.from_arrays(arrays, schema=schema))
    return {key: known[key] for key in wanted}


def _read(path: Path, schema: pa.Schema) -> dict[Any, int]:
    if not path.exists():
        return {}
    table = pq.read_table(path, schema=schema)
    known = dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))
    if len(set(known.values())) != table.num_rows:
        raise CorruptDataError(
            f"the id map {path} gives an id twice",
            hint="restore it from a backup: without it, published ids would change",
        )
    return known

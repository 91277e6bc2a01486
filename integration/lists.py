"""What the ledger lists, as tables for the steps: Parquet files in a fixed order, hashed as they are written.

The ledger is read a range of ids at a time, so that memory does not grow with the crawl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from integration.table_hash import TableHash
from microlens.database import id_ranges
from microlens.ledger_tables import asset_table, failure_table, page_table, selection_table
from microlens.refreshes import StandingPages
from microlens.tables import MEASUREMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from microlens.database import IdRange
    from microlens.ledger import Ledger

_AT_ONCE = 20_000

PAGE = pa.schema(
    [
        ("video_id", pa.string()),
        ("failure", pa.string()),
        ("refusal", pa.string()),
        ("like_count", pa.int64()),
        ("has_cover", pa.bool_()),
        ("has_video", pa.bool_()),
    ]
)
SELECTION = pa.schema([("video_id", pa.string()), ("stage", pa.string()), ("depth", pa.int32())])
ASSET = pa.schema([pa.field(column.name, column.type) for column in MEASUREMENTS])
FAILURE = pa.schema([("name", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True)
class Listed:
    """A table of the ledger's rows, by what its file is called."""

    path: Path
    schema: pa.Schema
    rows: int
    sha256: str
    """Of the rows (integration.table_hash), not of the file."""


def write_lists(ledger: Ledger, folder: Path) -> dict[str, Listed]:
    """Write what holds of every known video, the selection, the stored files and the final failures of media.

    Each is in the order of its first column.
    """
    tables: dict[str, tuple[pa.Schema, sa.Column[str], Callable[[IdRange], sa.Select[Any]]]] = {
        "page": (PAGE, page_table.c.video_id, _pages),
        "selection": (SELECTION, selection_table.c.video_id, _selections),
        "asset": (ASSET, asset_table.c.video_id, _assets),
        "failure": (FAILURE, failure_table.c.name, _failures),
    }
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: _write(folder / f"{name}.parquet", schema, _batches(ledger, column, schema, query))
        for name, (schema, column, query) in tables.items()
    }


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Listed:
    hashed, rows = TableHash(schema), 0
    # Without statistics an engine knows of no column that it has no nulls: what steps write does not depend on that.
    with pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False
    ) as writer:
        for batch in batches:
            hashed.update(batch)
            rows += batch.num_rows
            writer.write_batch(batch)
    return Listed(path, schema, rows, hashed.hexdigest())


def _batches(
    ledger: Ledger, column: sa.Column[str], schema: pa.Schema, query: Callable[[IdRange], sa.Select[Any]]
) -> Iterator[pa.RecordBatch]:
    for ids in id_ranges(ledger.database, column, _AT_ONCE):
        with ledger.read() as connection:
            rows = connection.execute(query(ids)).all()
        if column.table is failure_table:  # of several failures of a name the last one counts
            rows = list({row[0]: row for row in rows}.values())
        columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
        yield pa.record_batch(
            [_array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
        )


def _array(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):  # as in `microlens.ledger_rows.asset_from_sql`
        values = (list(filter(None, text.split(","))) for text in values)
    return pa.array(values, kind)


def _pages(ids: IdRange) -> sa.Select[Any]:
    page = StandingPages(ids)
    plain = [page.told(name) for name in ("failure", "refusal", "like_count")]
    has = [page.offers(kind) for kind in ("cover", "video")]
    _id = page_table.c.video_id
    return sa.select(_id, *plain, *has).select_from(page.rows).where(ids.has(_id)).order_by(_id)


def _selections(ids: IdRange) -> sa.Select[Any]:
    return _columns(selection_table, SELECTION, ids)


def _assets(ids: IdRange) -> sa.Select[Any]:
    return _columns(asset_table, ASSET, ids)


def _failures(ids: IdRange) -> sa.Select[Any]:
    final = sa.and_(failure_table.c.work == "media", failure_table.c.is_final, ids.has(failure_table.c.name))
    columns = (failure_table.c.name, failure_table.c.reason)
    return sa.select(*columns).where(final).order_by(failure_table.c.name, failure_table.c.id)


def _columns(table: sa.Table, schema: pa.Schema, ids: IdRange) -> sa.Select[Any]:
    columns = [table.c[name] for name in schema.names]
    return sa.select(*columns).where(ids.has(table.c.video_id)).order_by(*table.primary_key)

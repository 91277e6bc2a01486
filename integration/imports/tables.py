"""From foreign pairs to the release's tables: public ids, positions, users, comments, and the maps of the ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from integration.engines.duckdb import DuckEngine
from integration.imports.errors import ForeignFileError
from integration.imports.numbering import in_order
from integration.imports.times import ms_per
from integration.release import publish_table
from microlens.parts import write_table
from microlens.tables import COMMENTS, IMPORTED_ITEM_IDS, IMPORTED_USER_IDS, INTERACTIONS, USERS

if TYPE_CHECKING:
    from pathlib import Path

    from integration.imports.foreign import Foreign
    from integration.imports.lines import Tell
    from microlens.manifest import Output
    from microlens.settings import Settings


@dataclass(frozen=True, slots=True)
class Tables:
    items: pa.Array
    """The items' own ids, in the order of the public ones."""
    outputs: list[Output]
    counts: dict[str, int]
    """What a reader of the rows should know."""


def write_tables(foreign: Foreign, source: Path, draft: Path, work: Path, settings: Settings, *, tell: Tell) -> Tables:
    """Write all of the release's tables but its items; `source` is the file that told the pairs."""
    with DuckEngine(settings, work / "duckdb") as engine:
        engine.add_files("foreign_pairs", [foreign.pairs])
        tell("users and items", 0, 0)
        users, items = _in_order(engine, "user"), _in_order(engine, "item")
        if not len(items):
            raise ForeignFileError(source, "holds no interactions, or none that was asked for", hint="choose another")
        engine.add_table("imported_users", _numbered(users, "user"))
        engine.add_table("imported_items", _numbered(items, "item"))
        tell("interactions", 0, 0)
        per_unit = ms_per(foreign.time_unit)
        engine.run("imported_interactions", work / "interactions.parquet", {"ms_per_unit": per_unit})
        counts = _order_counts(engine, has_times=per_unit > 0)
        lengths = engine.query(
            "SELECT user_id, CAST(count(*) AS INTEGER) AS interaction_count FROM imported_interactions "
            "GROUP BY user_id ORDER BY user_id"
        )
        tell("comments", 0, 0)
        counts |= _write_comments(engine, foreign, work)
    genders, told = _genders(users, foreign.users)
    outputs = [
        publish_table(work / "interactions.parquet", draft, INTERACTIONS),
        publish(lengths.append_column("gender", genders), "users", draft, work, USERS),
        publish_table(work / "comments.parquet", draft, COMMENTS),
        publish(_map(items, "item"), "imported_item_ids", draft, work, IMPORTED_ITEM_IDS),
        publish(_map(users, "user"), "imported_user_ids", draft, work, IMPORTED_USER_IDS),
    ]
    return Tables(items, outputs, counts | told)


def publish(table: pa.Table, name: str, draft: Path, work: Path, schema: pa.Schema) -> Output:
    """Write a table under its public schema."""
    write_table(work / f"{name}.parquet", table)
    return publish_table(work / f"{name}.parquet", draft, schema)


def _in_order(engine: DuckEngine, kind: str) -> pa.Array:
    return in_order(engine.query(f"SELECT DISTINCT {kind}_token FROM foreign_pairs").column(0).combine_chunks())


def _numbered(tokens: pa.Array, kind: str) -> pa.Table:
    ids = pa.array(np.arange(1, len(tokens) + 1, dtype=np.int32))
    return pa.table({f"{kind}_token": tokens, f"{kind}_id": ids})


def _map(tokens: pa.Array, kind: str) -> pa.Table:
    return _numbered(tokens.cast(pa.string()), kind).rename_columns(["original_id", f"{kind}_id"])


def _order_counts(engine: DuckEngine, *, has_times: bool) -> dict[str, int]:
    """Pairs that are listed again; where there are times, equal ones, and rows that stand after a later one."""
    again = (
        "SELECT coalesce(sum(often - 1), 0) FROM "
        "(SELECT count(*) AS often FROM imported_interactions GROUP BY user_id, {})"
    )
    queries = {"repeated_pairs": again.format("item_id")}
    if has_times:
        queries["equal_times"] = again.format("timestamp_ms")
        queries["rows_out_of_order"] = (
            "SELECT count(*) FROM (SELECT time < lag(time) OVER (PARTITION BY user_token ORDER BY place) AS is_back "
            "FROM foreign_pairs) AS steps WHERE is_back"
        )
    return {name: int(engine.query(sql).column(0)[0].as_py()) for name, sql in queries.items()}


def _write_comments(engine: DuckEngine, foreign: Foreign, work: Path) -> dict[str, int]:
    """Write the texts of pairs; a source without any gives an empty table."""
    if foreign.comments is None:
        write_table(work / "comments.parquet", COMMENTS.empty_table())
        return {}
    engine.add_files("foreign_comments", [foreign.comments])
    written = engine.run("imported_comments", work / "comments.parquet")
    return {"comments_without_pair": pq.read_metadata(foreign.comments).num_rows - written}


def _genders(tokens: pa.Array, told: pa.Table | None) -> tuple[pa.Array, dict[str, int]]:
    """Of users (N,) in the order of their ids; empty ones are null."""
    if told is None:
        return pa.nulls(len(tokens), pa.string()), {}
    known = told.column("user_token").combine_chunks()
    genders = told.column("gender").combine_chunks().take(pc.index_in(tokens, value_set=known))
    is_told = pc.greater(pc.binary_length(genders), 0)
    strangers = len(known) - pc.sum(pc.is_in(known, value_set=tokens)).as_py()
    return pc.if_else(is_told, genders, None), {"users_without_interactions": strangers}

"""The ledger: what has been committed, in SQL. It is the truth; Redis is not. Tables: microlens.ledger_tables.

It lies in the run's own folder (SQLite), or in a database that many machines share (PostgreSQL): microlens.database.
Every write is one transaction, and a second write of the same fact changes nothing, so that a process may die
between any two of them and another may repeat its work.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.clock import now_ms
from microlens.database import insert, insert_new
from microlens.errors import ExtractorBrokenError, PageChangedError
from microlens.host_ledger import HostLedger
from microlens.keeping import Keeping
from microlens.ledger_reading import LedgerReading
from microlens.ledger_rows import asset_to_sql, links_to_sql, page_from_sql, page_to_sql
from microlens.ledger_tables import (
    asset_table,
    collected_table,
    failure_table,
    home_table,
    page_table,
    part_table,
    run_table,
    selection_table,
    stage_table,
)
from microlens.records import FrontierItem, fields_of
from microlens.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from contextlib import AbstractContextManager

    from microlens.ledger_rows import Home, PageRow, Part, Selected, Stored
    from microlens.postgres import PostgresDatabase, PostgresSchema
    from microlens.records import AssetRecord, Failure

_NODE_WORK = frozenset({"media", "comments"})

UNREADABLE = (PageChangedError.reason, ExtractorBrokenError.reason)
"""Why a page could not be read where its adapter, not the page, is to blame."""


class Ledger(LedgerReading):
    """The statements over these tables. Safe to use from several processes; every method is one transaction."""

    def __init__(self, at: Path | PostgresSchema, *, node_id: str, keeping: Keeping | None = None) -> None:
        """Open the ledger at a SQLite file or in a PostgreSQL schema; a new one is made.

        Raises LedgerVersionError, CorruptDataError, LedgerBusyError or LedgerUnreachableError.
        """
        self.node_id = node_id
        self.keeping = keeping or Keeping()
        self.database = SqliteDatabase(at) if isinstance(at, Path) else _postgres(at)
        try:
            self.database.create_tables()
        except BaseException:
            self.database.close()
            raise
        self.hosts = HostLedger(self.database, node_id=node_id)

    def close(self) -> None:
        self.database.close()

    def write(self) -> AbstractContextManager[sa.Connection]:
        """One transaction, committed whole or not at all; no other of this run writes meanwhile."""
        return self.database.write()

    # --- the run ---

    def create_run(self, *, run_id: str, platform: str, recipe: str, recipe_sha256: str, key_fingerprint: str) -> None:
        with self.write() as connection:
            connection.execute(
                run_table.insert().values(
                    run_id=run_id,
                    platform=platform,
                    recipe=recipe,
                    recipe_sha256=recipe_sha256,
                    key_fingerprint=key_fingerprint,
                    created_at_ms=now_ms(),
                )
            )

    def update_recipe(self, recipe: str, recipe_sha256: str) -> None:
        with self.write() as connection:
            connection.execute(run_table.update().values(recipe=recipe, recipe_sha256=recipe_sha256))

    def finish_stage(self, name: str) -> None:
        with self.write() as connection:
            insert_new(connection, stage_table, [{"name": name, "finished_at_ms": now_ms()}])

    def reopen_stage(self, name: str) -> None:
        with self.write() as connection:
            connection.execute(stage_table.delete().where(stage_table.c.name == name))

    # --- the crawl ---

    def commit_crawl(
        self,
        *,
        homes: Iterable[Home] = (),
        pages: Iterable[PageRow] = (),
        selections: Iterable[Selected] = (),
        failures: Iterable[Failure] = (),
        part: Part | None = None,
        committer: str = "",
    ) -> bool:
        """Commit visits, and the part that holds their records, at once; what was committed before stays as it was.

        Tells whether every visit was new. `committer` names who commits, for `crawled_since`.
        """
        by = {"committer": committer}
        home_rows = [{**fields_of(home), "links": links_to_sql(home.links), **by} for home in homes]
        at = {"visited_at_ms": now_ms()}
        page_rows = [page_to_sql(page, part) | at | by for page in pages]
        failure_rows = [self.failure_to_sql(failure) for failure in failures]
        chosen = [fields_of(selected) for selected in selections]
        with self.write() as connection:
            new = insert_new(connection, home_table, home_rows) + insert_new(connection, page_table, page_rows)
            insert_new(connection, failure_table, failure_rows)
            if chosen:
                connection.execute(_nearer_selection(connection), chosen)
            if part is not None:
                insert_new(connection, part_table, [self.part_to_sql(part)])
        return new == len(home_rows) + len(page_rows)

    def forget_changed_pages(self) -> list[PageRow]:
        """Take back the visits of pages that could not be read, so that a mended adapter reads them again."""
        mine = page_table.c.failure.in_(UNREADABLE)
        with self.write() as connection:
            rows = connection.execute(sa.select(page_table).where(mine)).mappings().all()
            connection.execute(page_table.delete().where(mine))
        return [page_from_sql(dict(row)) for row in rows]

    # --- the nodes ---

    def commit_assets(self, assets: Iterable[AssetRecord]) -> None:
        told = {"node_id": self.node_id, "kept_at": self.keeping.media, "fetched_at_ms": now_ms()}
        # What was taken over from another item stays where it is.
        rows = [asset_to_sql(asset) | told | ({"kept_at": asset.kept_at} if asset.kept_at else {}) for asset in assets]
        with self.write() as connection:
            insert_new(connection, asset_table, rows)

    def forget_assets(self, lost: Iterable[Stored]) -> list[Stored]:
        """Take back what was said of files that the store has lost; gives what nobody else had taken back before."""
        columns = asset_table.c
        forgotten = []
        with self.write() as connection:
            for one in lost:
                mine = (columns.video_id == one.video_id, columns.kind == one.kind, columns.sha256 == one.sha256)
                if connection.execute(asset_table.delete().where(*mine)).rowcount:
                    forgotten.append(one)
        return forgotten

    def commit_comments(
        self,
        part: Part | None,
        counts: Mapping[str, int],
        *,
        texts: Part | None = None,
        refresh: int = 0,
        declared: Mapping[str, int | None] | None = None,
        additions: Collection[str] = (),
    ) -> set[str]:
        """Commit a part of comments, that of their texts, and the readings that they complete, all of one refresh.

        `counts` are rows a video, `declared` what the site said there were; `additions` name the videos of which the
        part holds only what had come since they were last read. Gives the videos that another node had completed
        already; if there are any, nothing at all is committed, and the caller writes its part again without them.
        """
        declared = declared or {}
        rows = [
            {
                "video_id": video_id,
                "refresh": refresh,
                "comments": count,
                "is_full": video_id not in additions,
                "declared": declared.get(video_id),
                "part_id": part.part_id if part else None,
            }
            for video_id, count in counts.items()
        ]
        mine = sa.and_(collected_table.c.refresh == refresh, collected_table.c.video_id.in_(list(counts)))
        with self.write() as connection:
            taken = set(connection.execute(sa.select(collected_table.c.video_id).where(mine)).scalars())
            if taken:
                return taken
            insert_new(connection, collected_table, rows)
            insert_new(connection, part_table, [self.part_to_sql(one) for one in (part, texts) if one is not None])
        return set()

    def record_failure(self, failure: Failure) -> None:
        with self.write() as connection:
            connection.execute(failure_table.insert().values(self.failure_to_sql(failure)))

    def reopen_failures(self, reasons: Collection[str]) -> list[FrontierItem]:
        """Make final failures of these reasons no longer final; gives the work that is open again."""
        wanted = sa.and_(failure_table.c.is_final, failure_table.c.reason.in_(list(reasons)))
        with self.write() as connection:
            rows = connection.execute(sa.select(failure_table).where(wanted)).mappings().all()
            connection.execute(failure_table.update().where(wanted).values(is_final=False))
            failed = page_table.c.failure.in_(list(reasons))
            pages = connection.execute(sa.select(page_table).where(failed)).mappings().all()
            connection.execute(page_table.delete().where(failed))
        # Visits of a refresh are taken back by `Refreshes.take_back`.
        items = [FrontierItem(row["work"], row["name"], row["url"], {}) for row in rows if row["work"] in _NODE_WORK]
        return [*items, *(FrontierItem("page", row["video_id"], row["url"], {}) for row in pages)]

    def part_to_sql(self, part: Part) -> dict[str, Any]:
        """A part as its table has it, by this machine."""
        return {**asdict(part), "node_id": self.node_id, "kept_at": part.kept_at or self.keeping.parts}

    def failure_to_sql(self, failure: Failure) -> dict[str, Any]:
        return {**fields_of(failure), "node_id": self.node_id, "failed_at_ms": now_ms()}


def _postgres(at: PostgresSchema) -> PostgresDatabase:
    from microlens.postgres import PostgresDatabase  # noqa: PLC0415 - an optional package

    return PostgresDatabase(at)


def _nearer_selection(connection: sa.Connection) -> Any:
    """Insert a selected video; one that is known already takes the place that is nearer to a seed."""
    row = insert(connection, selection_table)
    nearer = {name: row.excluded[name] for name in ("stage", "found_from", "depth")}
    return row.on_conflict_do_update(
        index_elements=["video_id"], set_=nearer, where=row.excluded.depth < selection_table.c.depth
    )

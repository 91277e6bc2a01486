"""The ledger: what has been committed, in SQL (SQLite). It is the truth; Redis is not. Tables: microlens.ledger_tables.

Every write is one transaction, and a second write of the same fact changes nothing, so that a process may die
between any two of them and another may repeat its work.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from microlens.comment_lists import CommentList, that_stand
from microlens.errors import CorruptDataError, ExtractorBrokenError, MicrolensError, PageChangedError
from microlens.host_ledger import HostLedger
from microlens.ledger_rows import (
    Home,
    Mark,
    PageRow,
    Part,
    Selected,
    asset_from_sql,
    asset_to_sql,
    home_from_sql,
    links_to_sql,
    page_from_sql,
    page_to_sql,
)
from microlens.ledger_tables import (
    SCHEMA_VERSION,
    asset_table,
    collected_table,
    failure_table,
    home_table,
    metadata,
    page_table,
    part_table,
    run_table,
    selection_table,
    stage_table,
)
from microlens.records import AssetRecord, Failure, FrontierItem, WorkKind, fields_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

_BUSY_TIMEOUT_S = 60
_IN_BATCH = 500
_AT_ONCE = 5_000
_NODE_WORK = frozenset({"media", "comments"})

UNREADABLE = (PageChangedError.reason, ExtractorBrokenError.reason)
"""Why a page could not be read where its adapter, not the page, is to blame."""


class Ledger:
    """The statements over the tables above. Safe to use from several processes; every method is one transaction."""

    def __init__(self, path: Path, *, node_id: str) -> None:
        self.node_id = node_id
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_TIMEOUT_S})
        sa.event.listen(self._engine, "connect", _configure_sqlite)
        try:
            with self._write() as connection:  # several processes may open a new ledger at once
                _create_tables(connection, path)
        except sa.exc.DatabaseError as error:
            raise CorruptDataError(
                f"the ledger {path} cannot be opened: {error.orig}", hint="restore it from a backup, or free the disk"
            ) from error
        self.hosts = HostLedger(self._engine, self._write, node_id=node_id)

    def close(self) -> None:
        self._engine.dispose()

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A connection for statements that write nothing."""
        return self._engine.connect()

    def write(self) -> AbstractContextManager[sa.Connection]:
        """One transaction, committed whole or not at all."""
        return self._write()

    # --- the run ---

    def create_run(self, *, run_id: str, platform: str, recipe: str, recipe_sha256: str, key_fingerprint: str) -> None:
        with self._write() as connection:
            connection.execute(
                insert(run_table).values(
                    run_id=run_id,
                    platform=platform,
                    recipe=recipe,
                    recipe_sha256=recipe_sha256,
                    key_fingerprint=key_fingerprint,
                    created_at_ms=now_ms(),
                )
            )

    def update_recipe(self, recipe: str, recipe_sha256: str) -> None:
        with self._write() as connection:
            connection.execute(run_table.update().values(recipe=recipe, recipe_sha256=recipe_sha256))

    def run(self) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(run_table)).mappings().first()
        return dict(row) if row else None

    def finish_stage(self, name: str) -> None:
        with self._write() as connection:
            connection.execute(insert(stage_table).values(name=name, finished_at_ms=now_ms()).on_conflict_do_nothing())

    def reopen_stage(self, name: str) -> None:
        with self._write() as connection:
            connection.execute(stage_table.delete().where(stage_table.c.name == name))

    def is_stage_finished(self, name: str) -> bool:
        with self._engine.connect() as connection:
            return (
                connection.execute(sa.select(stage_table.c.name).where(stage_table.c.name == name)).first() is not None
            )

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
        with self._write() as connection:
            new = _insert(connection, home_table, home_rows) + _insert(connection, page_table, page_rows)
            _insert(connection, failure_table, failure_rows)
            if chosen:
                connection.execute(_nearer_selection(), chosen)
            if part is not None:
                _insert(connection, part_table, [{**asdict(part), "node_id": self.node_id}])
        return new == len(home_rows) + len(page_rows)

    def homes(self) -> list[Home]:
        query = sa.select(home_table).order_by(home_table.c.refresh, home_table.c.instance)
        with self._engine.connect() as connection:
            return [home_from_sql(row) for row in connection.execute(query).mappings()]

    def forget_changed_pages(self) -> list[PageRow]:
        """Take back the visits of pages that could not be read, so that a mended adapter reads them again."""
        mine = page_table.c.failure.in_(UNREADABLE)
        with self._write() as connection:
            rows = connection.execute(sa.select(page_table).where(mine)).mappings().all()
            connection.execute(page_table.delete().where(mine))
        return [page_from_sql(dict(row)) for row in rows]

    def pages(self, video_ids: Sequence[str] | None = None) -> list[PageRow]:
        """Committed pages of the first crawl: all, or those of the videos named (`Refreshes.standings`: as of now)."""
        return [page_from_sql(row) for row in self._rows_of(page_table, video_ids)]

    def crawled_since(self, mark: Mark, *, but_by: str | None = None) -> tuple[list[Home], list[PageRow], Mark]:
        """What any collection node (but one) has committed after a mark, some thousands at most, and the next mark.

        Nothing more is there once the mark stays as it is.
        """
        with self._engine.connect() as connection:
            homes, home_mark = _rows_after(connection, home_table, mark.home, but_by)
            pages, page_mark = _rows_after(connection, page_table, mark.page, but_by)
        rows = [page_from_sql(dict(row)) for row in pages]
        return [home_from_sql(row) for row in homes], rows, Mark(home_mark, page_mark)

    def selections(self, video_ids: Sequence[str] | None = None) -> list[Selected]:
        return [Selected(**row) for row in self._rows_of(selection_table, video_ids)]

    # --- the nodes ---

    def commit_asset(self, asset: AssetRecord) -> None:
        self.commit_assets([asset])

    def commit_assets(self, assets: Iterable[AssetRecord]) -> None:
        told = {"node_id": self.node_id, "fetched_at_ms": now_ms()}
        rows = [asset_to_sql(asset) | told for asset in assets]
        with self._write() as connection:
            _insert(connection, asset_table, rows)

    def assets_from(self, url_keys: Collection[bytes]) -> list[dict[str, Any]]:
        """Assets that were fetched from these addresses, each by its 16-byte digest."""
        query = sa.select(asset_table).where(asset_table.c.url_key.in_(list(url_keys)))
        with self._engine.connect() as connection:
            return [asset_from_sql(dict(row)) for row in connection.execute(query).mappings()]

    def forget_assets(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take back what was said of files that the store has lost, so that they are fetched again."""
        with self._write() as connection:
            for row in rows:
                mine = sa.and_(asset_table.c.video_id == row["video_id"], asset_table.c.kind == row["kind"])
                connection.execute(asset_table.delete().where(mine))

    def assets(self, video_ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return [asset_from_sql(row) for row in self._rows_of(asset_table, video_ids)]

    def commit_comments(
        self,
        part: Part | None,
        counts: Mapping[str, int],
        *,
        refresh: int = 0,
        declared: Mapping[str, int | None] | None = None,
        additions: Collection[str] = (),
    ) -> set[str]:
        """Commit a part of comments and the readings that it completes, all of one refresh.

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
        with self._write() as connection:
            taken = set(connection.execute(sa.select(collected_table.c.video_id).where(mine)).scalars())
            if taken:
                return taken
            _insert(connection, collected_table, rows)
            if part is not None:
                _insert(connection, part_table, [{**asdict(part), "node_id": self.node_id}])
        return set()

    def comment_lists(self, video_ids: Sequence[str] | None = None) -> list[CommentList]:
        """Every complete reading of comments, those that no longer stand included."""
        rows = self._rows_of(collected_table, video_ids)
        paths = self._part_paths({row["part_id"] for row in rows} - {None})
        return [CommentList(path=paths.get(row.pop("part_id")), **row) for row in rows]

    def collected(self, video_ids: Sequence[str] | None = None) -> dict[str, int]:
        """Videos whose comments are complete, with how many there are."""
        counts: dict[str, int] = {}
        for one in that_stand(self.comment_lists(video_ids)):
            counts[one.video_id] = counts.get(one.video_id, 0) + one.comments
        return counts

    def parts(self, kind: str) -> list[Part]:
        query = sa.select(part_table).where(part_table.c.kind == kind).order_by(part_table.c.part_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Part(row["part_id"], row["kind"], row["path"], row["rows"], row["sha256"]) for row in rows]

    def record_failure(self, failure: Failure) -> None:
        with self._write() as connection:
            connection.execute(failure_table.insert().values(self.failure_to_sql(failure)))

    def final_failures(self, work: WorkKind) -> list[dict[str, Any]]:
        """Every final failure of a kind, oldest first: name, video_id, reason, http_status."""
        columns = (failure_table.c.name, failure_table.c.video_id, failure_table.c.reason, failure_table.c.http_status)
        query = (
            sa.select(*columns)
            .where(failure_table.c.work == work, failure_table.c.is_final)
            .order_by(failure_table.c.id)
        )
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def reopen_failures(self, reasons: Collection[str]) -> list[FrontierItem]:
        """Make final failures of these reasons no longer final; gives the work that is open again."""
        wanted = sa.and_(failure_table.c.is_final, failure_table.c.reason.in_(list(reasons)))
        with self._write() as connection:
            rows = connection.execute(sa.select(failure_table).where(wanted)).mappings().all()
            connection.execute(failure_table.update().where(wanted).values(is_final=False))
            failed = page_table.c.failure.in_(list(reasons))
            pages = connection.execute(sa.select(page_table).where(failed)).mappings().all()
            connection.execute(page_table.delete().where(failed))
        # Visits of a refresh are taken back by `Refreshes.take_back`.
        items = [FrontierItem(row["work"], row["name"], row["url"], {}) for row in rows if row["work"] in _NODE_WORK]
        return [*items, *(FrontierItem("page", row["video_id"], row["url"], {}) for row in pages)]

    def failure_counts(self) -> dict[str, int]:
        """Failed attempts by reason, final or not."""
        query = sa.select(failure_table.c.reason, sa.func.count()).group_by(failure_table.c.reason)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def given_up(self) -> dict[str, int]:
        """How many items of each kind are done with for ill."""
        query = sa.select(failure_table.c.work, sa.func.count(sa.distinct(failure_table.c.name)))
        query = query.where(failure_table.c.is_final).group_by(failure_table.c.work)
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def progress(self) -> dict[str, int]:
        """How many rows each table has: what `status` and the progress bar show."""
        counted = {
            "pages": sa.select(sa.func.count()).select_from(page_table),
            "seeds": sa.select(sa.func.count()).where(selection_table.c.stage == "seed"),
            "selected": sa.select(sa.func.count()).select_from(selection_table),
            "assets": sa.select(sa.func.count()).select_from(asset_table),
            "bytes": sa.select(sa.func.coalesce(sa.func.sum(asset_table.c.size_bytes), 0)),
            "collected": sa.select(sa.func.count(collected_table.c.video_id.distinct())),
            "comments": sa.select(sa.func.coalesce(sa.func.sum(collected_table.c.comments), 0)).where(_stands()),
            "failures": sa.select(sa.func.count()).select_from(failure_table),
        }
        with self._engine.connect() as connection:
            return {name: int(connection.execute(query).scalar_one()) for name, query in counted.items()}

    def failure_to_sql(self, failure: Failure) -> dict[str, Any]:
        return {**fields_of(failure), "node_id": self.node_id, "failed_at_ms": now_ms()}

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            # Taking SQLite's write lock at the start lets writers queue; upgrading a read lock would fail instead.
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
            except sa.exc.OperationalError as error:
                raise LedgerBusyError(
                    f"the ledger cannot be written: {error.orig}",
                    hint="free the disk, or wait for what holds it; then run the same command: nothing is lost",
                ) from error

    def _part_paths(self, part_ids: Collection[str]) -> dict[str, str]:
        """Where the named parts lie within the run's folder."""
        columns = sa.select(part_table.c.part_id, part_table.c.path)
        wanted = list(part_ids)
        paths: dict[str, str] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _IN_BATCH):
                some = part_table.c.part_id.in_(wanted[start : start + _IN_BATCH])
                paths |= {row.part_id: row.path for row in connection.execute(columns.where(some))}
        return paths

    def _rows_of(self, table: sa.Table, video_ids: Sequence[str] | None) -> list[dict[str, Any]]:
        query = sa.select(table)
        with self._engine.connect() as connection:
            if video_ids is None:
                return [dict(row) for row in connection.execute(query.order_by(*table.primary_key)).mappings()]
            rows: list[dict[str, Any]] = []
            for start in range(0, len(video_ids), _IN_BATCH):
                some = query.where(table.c.video_id.in_(video_ids[start : start + _IN_BATCH]))
                rows += [dict(row) for row in connection.execute(some).mappings()]
            return rows


class LedgerBusyError(MicrolensError):
    """The disk is full, or another process holds the ledger for too long."""


class LedgerVersionError(CorruptDataError):
    """The ledger was made by another version of this program, whose tables are not ours."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there yet; gives how many rows that were."""
    if not rows:
        return 0
    statement = insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement, rows).rowcount


def _rows_after(
    connection: sa.Connection, table: sa.Table, seq: int, but_by: str | None
) -> tuple[Sequence[sa.RowMapping], int]:
    """The rows that were committed after one, in order, and the last one's number."""
    last = min(connection.execute(sa.select(sa.func.max(table.c.seq))).scalar() or seq, seq + _AT_ONCE)
    wanted = sa.select(table).where(table.c.seq > seq, table.c.seq <= last).order_by(table.c.seq)
    if but_by is not None:
        wanted = wanted.where(table.c.committer != but_by)
    return connection.execute(wanted).mappings().all() if last > seq else [], last


def _create_tables(connection: sa.Connection, path: Path) -> None:
    """Make the tables of a new ledger; CorruptDataError for a ledger whose tables are those of another version."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    is_new = version == 0 and not sa.inspect(connection).get_table_names()
    if not is_new and version != SCHEMA_VERSION:
        raise LedgerVersionError(
            f"the ledger {path} has tables of version {version or 1}; only version {SCHEMA_VERSION} can be read here",
            hint=f"go on with the microlens-build that made it, or delete {path.parent} and crawl again",
        )
    if is_new:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _stands() -> sa.ColumnElement[bool]:
    """Readings of comments that no later whole list of their video has replaced (`that_stand`, in SQL)."""
    later = collected_table.alias()
    is_replaced = sa.and_(
        later.c.video_id == collected_table.c.video_id, later.c.refresh > collected_table.c.refresh, later.c.is_full
    )
    return ~sa.exists().where(is_replaced)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    # We begin transactions ourselves (see _write); the driver must not begin its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _nearer_selection() -> Any:
    """Insert a selected video; one that is known already takes the place that is nearer to a seed."""
    row = insert(selection_table)
    nearer = {name: row.excluded[name] for name in ("stage", "found_from", "depth")}
    return row.on_conflict_do_update(
        index_elements=["video_id"], set_=nearer, where=row.excluded.depth < selection_table.c.depth
    )

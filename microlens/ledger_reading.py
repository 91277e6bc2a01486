"""What the ledger gives back: the statements that write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.comment_lists import CommentList, that_stand
from microlens.database import id_ranges, rows_after
from microlens.ledger_rows import (
    Home,
    Mark,
    PageRow,
    Part,
    Selected,
    Stored,
    asset_from_sql,
    home_from_sql,
    page_from_sql,
)
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

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from microlens.database import Database
    from microlens.records import WorkKind

_IN_BATCH = 500
_AT_ONCE = 5_000


class LedgerReading:
    """The ledger's statements that read."""

    database: Database

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A connection for statements that write nothing."""
        return self.database.read()

    # --- the run ---

    def run(self) -> dict[str, Any] | None:
        with self.read() as connection:
            row = connection.execute(sa.select(run_table)).mappings().first()
        return dict(row) if row else None

    def is_stage_finished(self, name: str) -> bool:
        with self.read() as connection:
            return (
                connection.execute(sa.select(stage_table.c.name).where(stage_table.c.name == name)).first() is not None
            )

    # --- the crawl ---

    def homes(self) -> list[Home]:
        query = sa.select(home_table).order_by(home_table.c.refresh, home_table.c.instance)
        with self.read() as connection:
            return [home_from_sql(row) for row in connection.execute(query).mappings()]

    def pages(self, video_ids: Sequence[str] | None = None) -> list[PageRow]:
        """Committed pages of the first crawl: all, or those of the videos named (`Refreshes.standings`: as of now)."""
        return [page_from_sql(row) for row in self._rows_of(page_table, video_ids)]

    def crawled_since(self, mark: Mark, *, but_by: str | None = None) -> tuple[list[Home], list[PageRow], Mark]:
        """What any collection node (but one) has committed after a mark, some thousands at most, and the next mark.

        Nothing more is there once the mark stays as it is.
        """
        with self.read() as connection:
            homes, home_mark = rows_after(connection, home_table, mark.home, at_most=_AT_ONCE, but_by=but_by)
            pages, page_mark = rows_after(connection, page_table, mark.page, at_most=_AT_ONCE, but_by=but_by)
        rows = [page_from_sql(dict(row)) for row in pages]
        return [home_from_sql(row) for row in homes], rows, Mark(home_mark, page_mark)

    def selections(self, video_ids: Sequence[str] | None = None) -> list[Selected]:
        return [Selected(**row) for row in self._rows_of(selection_table, video_ids)]

    # --- the nodes ---

    def assets(self, video_ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        return [asset_from_sql(row) for row in self._rows_of(asset_table, video_ids)]

    def assets_from(self, url_keys: Collection[bytes]) -> list[dict[str, Any]]:
        """Assets that were fetched from these addresses, each by its 16-byte digest."""
        query = sa.select(asset_table).where(asset_table.c.url_key.in_(list(url_keys)))
        with self.read() as connection:
            return [asset_from_sql(dict(row)) for row in connection.execute(query).mappings()]

    def stored(self, *, kept_at: str | None = None, but_at: str | None = None) -> Iterator[list[Stored]]:
        """Every asset and its file, some thousands at a time; all, or those that one place keeps, or does not."""
        query = sa.select(*(asset_table.c[name] for name in Stored.__slots__))
        if kept_at is not None:
            query = query.where(asset_table.c.kept_at == kept_at)
        if but_at is not None:
            query = query.where(asset_table.c.kept_at != but_at)
        for ids in id_ranges(self.database, asset_table.c.video_id, _AT_ONCE):
            with self.read() as connection:
                yield [Stored(*row) for row in connection.execute(query.where(ids.has(asset_table.c.video_id)))]

    def media_places(self) -> list[str]:
        """Wherever stored files are kept (microlens.keeping)."""
        query = sa.select(asset_table.c.kept_at).distinct().order_by(asset_table.c.kept_at)
        with self.read() as connection:
            return list(connection.execute(query).scalars())

    def part_places(self) -> list[str]:
        """Wherever parts are kept."""
        query = sa.select(part_table.c.kept_at).distinct().order_by(part_table.c.kept_at)
        with self.read() as connection:
            return list(connection.execute(query).scalars())

    def comment_lists(self, video_ids: Sequence[str] | None = None) -> list[CommentList]:
        """Every complete reading of comments, those that no longer stand included."""
        rows = self._rows_of(collected_table, video_ids)
        places = self._part_places({row["part_id"] for row in rows} - {None})
        told = ((row, *places.get(row.pop("part_id"), (None, None))) for row in rows)
        return [CommentList(path=path, kept_at=kept_at, **row) for row, path, kept_at in told]

    def reading_columns(self) -> Iterator[tuple[Sequence[Any], ...]]:
        """The same, some thousands at a time in the order of videos, as columns.

        They are video_id, refresh, path of the part (None without rows), comments, and whether the reading stands.
        """
        told = collected_table.c
        query = sa.select(told.video_id, told.refresh, part_table.c.path, told.comments, _stands())
        query = query.select_from(collected_table.outerjoin(part_table, part_table.c.part_id == told.part_id))
        query = query.order_by(told.video_id, told.refresh)
        for ids in id_ranges(self.database, told.video_id, _AT_ONCE):
            with self.read() as connection:
                rows = connection.execute(query.where(ids.has(told.video_id))).all()
            if rows:
                yield tuple(zip(*rows, strict=True))

    def collected(self, video_ids: Sequence[str] | None = None) -> dict[str, int]:
        """Videos whose comments are complete, with how many there are."""
        counts: dict[str, int] = {}
        for one in that_stand(self.comment_lists(video_ids)):
            counts[one.video_id] = counts.get(one.video_id, 0) + one.comments
        return counts

    def parts(self, kind: str) -> list[Part]:
        query = sa.select(part_table).where(part_table.c.kind == kind).order_by(part_table.c.part_id)
        return self._parts_of(query)

    def part(self, part_id: str) -> Part | None:
        """The part of this id."""
        return next(iter(self._parts_of(sa.select(part_table).where(part_table.c.part_id == part_id))), None)

    def parts_after(self, part_id: str, at_most: int) -> list[Part]:
        """Parts of any kind whose ids are greater, in the order of their ids."""
        query = sa.select(part_table).where(part_table.c.part_id > part_id).order_by(part_table.c.part_id)
        return self._parts_of(query.limit(at_most))

    def final_failures(self, work: WorkKind, names: Collection[str] | None = None) -> list[dict[str, Any]]:
        """Every final failure of a kind, or of these items, oldest first: name, video_id, reason, http_status."""
        columns = (failure_table.c.name, failure_table.c.video_id, failure_table.c.reason, failure_table.c.http_status)
        query = (
            sa.select(*columns)
            .where(failure_table.c.work == work, failure_table.c.is_final)
            .order_by(failure_table.c.id)
        )
        if names is not None:
            query = query.where(failure_table.c.name.in_(list(names)))
        with self.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def failure_counts(self) -> dict[str, int]:
        """Failed attempts by reason, final or not."""
        query = sa.select(failure_table.c.reason, sa.func.count()).group_by(failure_table.c.reason)
        with self.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def given_up(self) -> dict[str, int]:
        """How many items of each kind are done with for ill."""
        query = sa.select(failure_table.c.work, sa.func.count(sa.distinct(failure_table.c.name)))
        query = query.where(failure_table.c.is_final).group_by(failure_table.c.work)
        with self.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def given_up_for(self, kinds: Collection[WorkKind]) -> dict[str, int]:
        """How many items of these kinds are done with for ill, by reason."""
        query = sa.select(failure_table.c.reason, sa.func.count(sa.distinct(failure_table.c.name)))
        query = query.where(failure_table.c.is_final, failure_table.c.work.in_(list(kinds)))
        with self.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(failure_table.c.reason))}

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
        with self.read() as connection:
            return {name: int(connection.execute(query).scalar_one()) for name, query in counted.items()}

    def _parts_of(self, query: sa.Select[Any]) -> list[Part]:
        with self.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [Part(**{name: row[name] for name in Part.__slots__}) for row in rows]

    def _part_places(self, part_ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Where the named parts lie within the run's folder, and in whose."""
        columns = sa.select(part_table.c.part_id, part_table.c.path, part_table.c.kept_at)
        wanted = list(part_ids)
        places: dict[str, tuple[str, str]] = {}
        with self.read() as connection:
            for start in range(0, len(wanted), _IN_BATCH):
                some = part_table.c.part_id.in_(wanted[start : start + _IN_BATCH])
                rows = connection.execute(columns.where(some))
                places |= {row.part_id: (row.path, row.kept_at) for row in rows}
        return places

    def _rows_of(self, table: sa.Table, video_ids: Sequence[str] | None) -> list[dict[str, Any]]:
        query = sa.select(table)
        with self.read() as connection:
            if video_ids is None:
                return [dict(row) for row in connection.execute(query.order_by(*table.primary_key)).mappings()]
            rows: list[dict[str, Any]] = []
            for start in range(0, len(video_ids), _IN_BATCH):
                some = query.where(table.c.video_id.in_(video_ids[start : start + _IN_BATCH]))
                rows += [dict(row) for row in connection.execute(some).mappings()]
            return rows


def _stands() -> sa.ColumnElement[bool]:
    """Readings of comments that no later whole list of their video has replaced (`that_stand`, in SQL)."""
    later = collected_table.alias()
    is_replaced = sa.and_(
        later.c.video_id == collected_table.c.video_id, later.c.refresh > collected_table.c.refresh, later.c.is_full
    )
    return ~sa.exists().where(is_replaced)

"""Re-crawls in the ledger: which known videos are read again, what they showed then, and what holds of each now.

A refresh has a number, from 1, and one moment: videos that were last read before it are read again, once. The first
crawl is number 0; its facts, from which seeds and related videos were chosen, are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.clock import now_ms
from microlens.database import insert_new
from microlens.ledger_rows import page_from_sql, page_to_sql
from microlens.ledger_tables import failure_table, page_table, part_table, refresh_table, visit_table
from microlens.outcomes import PASSING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from microlens.database import IdRange
    from microlens.ledger import Ledger
    from microlens.ledger_rows import PageRow, Part
    from microlens.records import AssetKind, Failure

_IN_BATCH = 500


@dataclass(frozen=True, slots=True)
class Refresh:
    """One re-crawl of known videos."""

    number: int
    since_ms: int
    """Videos last read before this moment are read again; fixed when the refresh begins."""
    started_at_ms: int
    finished_at_ms: int | None

    @property
    def is_open(self) -> bool:
        return self.finished_at_ms is None


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds of a video: its newest visit that told something."""

    page: PageRow
    refresh: int
    """The visit's; 0 is the first crawl."""


class Refreshes:
    """The statements over `refresh` and `visit`; safe to use from several processes, every method one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def newest(self) -> Refresh | None:
        with self._ledger.read() as connection:
            return _newest(connection)

    def open_one(self) -> Refresh | None:
        """The refresh that is not finished; there is never a second."""
        newest = self.newest()
        return newest if newest is not None and newest.is_open else None

    def begin(self, since_ms: int) -> Refresh | None:
        """Go on with the open refresh, whatever its moment; else begin one, or give None if no video is due."""
        with self._ledger.write() as connection:
            newest = _newest(connection)
            if newest is not None and newest.is_open:
                return newest
            row = {"number": newest.number + 1 if newest else 1, "since_ms": since_ms, "started_at_ms": now_ms()}
            if connection.execute(_due(row["number"], since_ms).limit(1)).first() is None:
                return None
            connection.execute(refresh_table.insert().values(**row))
        return Refresh(**row, finished_at_ms=None)

    def finish(self, number: int) -> None:
        mine = sa.and_(refresh_table.c.number == number, refresh_table.c.finished_at_ms.is_(None))
        with self._ledger.write() as connection:
            connection.execute(refresh_table.update().where(mine).values(finished_at_ms=now_ms()))

    def due(self, refresh: Refresh) -> list[tuple[str, str]]:
        """Videos that the refresh still has to read: (video id, address), the longest known first."""
        with self._ledger.read() as connection:
            rows = connection.execute(_due(refresh.number, refresh.since_ms).order_by(page_table.c.seq))
            return [(row.video_id, row.url) for row in rows]

    def count_due(self, since_ms: int, *, number: int = 0) -> int:
        """How many videos a refresh of that moment would read, or has still to read."""
        query = sa.select(sa.func.count()).select_from(_due(number, since_ms).subquery())
        with self._ledger.read() as connection:
            return int(connection.execute(query).scalar_one())

    def commit(
        self, number: int, pages: Iterable[PageRow], part: Part | None, failures: Iterable[Failure] = ()
    ) -> None:
        """Commit visits, and the part that holds their records, at once; an earlier visit is never overwritten."""
        failed = [self._ledger.failure_to_sql(failure) for failure in failures]
        at = {"refresh": number, "visited_at_ms": now_ms()}
        rows = [page_to_sql(page, part) | at for page in pages]
        for row in rows:
            del row["related"]  # a refresh follows no links: the selection is the first crawl's
        with self._ledger.write() as connection:
            insert_new(connection, visit_table, rows)
            insert_new(connection, failure_table, failed)
            if part is not None:
                insert_new(connection, part_table, [self._ledger.part_to_sql(part)])

    def visits_since(self, number: int, mark: int) -> tuple[list[PageRow], int]:
        """What any collection node has committed in a refresh after a mark (0: all), and the mark to ask from next."""
        query = sa.select(visit_table).where(visit_table.c.refresh == number, visit_table.c.seq > mark)
        with self._ledger.read() as connection:
            rows = connection.execute(query.order_by(visit_table.c.seq)).mappings().all()
        return [page_from_sql(dict(row)) for row in rows], rows[-1]["seq"] if rows else mark

    def take_back(self, number: int, reasons: Collection[str]) -> list[PageRow]:
        """Take back visits that failed for these reasons, so that the refresh makes them again."""
        mine = sa.and_(visit_table.c.refresh == number, visit_table.c.failure.in_(list(reasons)))
        with self._ledger.write() as connection:
            rows = connection.execute(sa.select(visit_table).where(mine)).mappings().all()
            connection.execute(visit_table.delete().where(mine))
        return [page_from_sql(dict(row)) for row in rows]

    def standings(self, video_ids: Sequence[str] | None = None) -> list[Standing]:
        """What holds of every known video, or of those named, by video id.

        A visit that failed for a cause that may pass tells nothing: what was read before goes on to hold.
        """
        standing = {page.video_id: Standing(page, 0) for page in self._ledger.pages(video_ids)}
        for row in self._telling_visits(video_ids):
            standing[row["video_id"]] = Standing(page_from_sql(row), row["refresh"])
        return [standing[video_id] for video_id in sorted(standing)]

    def _telling_visits(self, video_ids: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        """The newest visit of each video that told something."""
        later = visit_table.alias()
        newer = sa.and_(
            later.c.video_id == visit_table.c.video_id, later.c.refresh > visit_table.c.refresh, tells(later)
        )
        query = sa.select(visit_table).where(tells(visit_table), ~sa.exists().where(newer))
        with self._ledger.read() as connection:
            if video_ids is None:
                yield from (dict(row) for row in connection.execute(query).mappings())
                return
            for start in range(0, len(video_ids), _IN_BATCH):
                some = query.where(visit_table.c.video_id.in_(video_ids[start : start + _IN_BATCH]))
                yield from (dict(row) for row in connection.execute(some).mappings())


class StandingPages:
    """What holds of the videos of a range of ids, in SQL: as `Refreshes.standings` says, for each known video a row."""

    def __init__(self, ids: IdRange) -> None:
        newest, later = visit_table.alias(), visit_table.alias()
        is_newer = (
            later.c.video_id == newest.c.video_id,
            ids.has(later.c.video_id),
            later.c.refresh > newest.c.refresh,
            tells(later),
        )
        # The range is told of each table, lest a database look through all visits for some videos.
        is_standing = sa.and_(
            newest.c.video_id == page_table.c.video_id,
            ids.has(newest.c.video_id),
            tells(newest),
            ~sa.exists().where(*is_newer),
        )
        self.rows = page_table.outerjoin(newest, is_standing)
        self.refresh: sa.ColumnElement[int] = sa.func.coalesce(newest.c.refresh, 0)
        self._newest = newest

    def told(self, name: str) -> sa.ColumnElement[Any]:
        """A column of the page."""
        return sa.case((self._newest.c.refresh.is_(None), page_table.c[name]), else_=self._newest.c[name])

    def offers(self, kind: AssetKind) -> sa.ColumnElement[bool]:
        """Whether the page names a file of this kind; a quote within an address is written otherwise."""
        return self.told("media").contains(f'"kind":"{kind}"')


def _newest(connection: sa.Connection) -> Refresh | None:
    row = connection.execute(sa.select(refresh_table).order_by(refresh_table.c.number.desc()).limit(1)).mappings()
    newest = row.first()
    return Refresh(**newest) if newest else None


def tells(visits: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a visit was read, or refused for good."""
    return sa.or_(visits.c.failure.is_(None), visits.c.failure.not_in(PASSING))


def _due(number: int, since_ms: int) -> sa.Select[Any]:
    """Pages that were read once, or failed for a cause that may pass, and of which nothing is known since.

    One that has gone, or was closed to us, is asked for again: a site's bad day must not cost a video for ever.
    """
    is_known = sa.or_(page_table.c.failure.is_(None), page_table.c.failure.in_(PASSING))
    is_new = sa.and_(page_table.c.failure.is_(None), page_table.c.visited_at_ms >= since_ms)
    is_newer = sa.and_(tells(visit_table), visit_table.c.visited_at_ms >= since_ms)
    visited = sa.and_(
        visit_table.c.video_id == page_table.c.video_id, sa.or_(visit_table.c.refresh == number, is_newer)
    )
    return sa.select(page_table.c.video_id, page_table.c.url).where(is_known, ~is_new, ~sa.exists().where(visited))

"""Media links that have run out, in the ledger: which pages are wanted again for fresh ones, and what they gave.

Sites sign their links for minutes or hours, and a crawl may queue for days. A node that meets an expired link writes it
down here; the collector reads the video's page once more, for all of its assets that wait, and the asset is due again.
The page's row, and so the dataset, stays what the first visit saw. An asset that refuses
`FRESH_LINKS` of them (microlens.backlog) is given no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from microlens.backlog import asset_name, links_item
from microlens.clock import now_ms
from microlens.database import insert_new
from microlens.ledger_tables import expired_table, failure_table, fresh_table, page_table, visit_table
from microlens.records import Failure, MediaLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from microlens.ledger import Ledger
    from microlens.ledger_rows import PageRow
    from microlens.records import AssetKind, FrontierItem

OLD_MS = 3_600_000
"""A signed link that does not say when it ends may have ended once its page was read so long ago."""
NOT_ASKED = "expired"
_IN_BATCH = 500


@dataclass(frozen=True, slots=True)
class Expired:
    """An asset whose link has run out."""

    video_id: str
    kind: AssetKind
    link: int
    """How many fresh links it had been given: 0 for the one that the first visit saw."""
    reason: str
    """What the site said: `gone`, `private` ...; NOT_ASKED where the link was known to have ended."""
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """Where an asset stands whose link has run out."""

    link: int
    """Which fresh link it has or waits for, from 1."""
    refused: int
    """How many of those before it were refused by the site."""
    media: tuple[MediaLink, ...]
    """What its page showed when it was read again; nothing while that is waited for, or where it could not be read."""


class FreshLinks:
    """The statements over `expired` and `fresh`; safe to use from several processes, every method one transaction."""

    def __init__(self, ledger: Ledger, platform: str) -> None:
        self._ledger = ledger
        self._platform = platform

    # --- for the nodes ---

    def expire(self, expired: Iterable[Expired], failures: Iterable[Failure] = ()) -> None:
        """Ask for fresh links, and write down the attempts that told so; asked for twice it is one wish.

        A page that was read again lately for another of its assets answers at once.
        """
        told = [self._ledger.failure_to_sql(failure) for failure in failures]
        with self._ledger.write() as connection:
            for one in expired:
                self._expire(connection, one)
            insert_new(connection, failure_table, told)

    def _expire(self, connection: sa.Connection, one: Expired) -> None:
        newest = connection.execute(_newest_reading(one.video_id)).mappings().first()
        fresh = newest["seq"] if newest and _is_of_use(newest, one.kind) else None
        if fresh is not None and fresh == connection.execute(_reading_of(one)).scalar():
            fresh = None  # the link that has just run out came from it
        row = {
            "video_id": one.video_id,
            "kind": one.kind,
            "link": one.link,
            "fresh": fresh,
            "reason": one.reason,
            "http_status": one.http_status,
            "expired_at_ms": now_ms(),
        }
        insert_new(connection, expired_table, [row])

    def given(self, video_ids: Sequence[str] | None = None) -> dict[tuple[str, str], Given]:
        """Where the assets stand whose links ever ran out, by video id and kind: of all videos, or of those named."""
        columns = expired_table.c
        query = (
            sa.select(columns.video_id, columns.kind, columns.link, columns.reason, fresh_table.c.media)
            .select_from(expired_table.outerjoin(fresh_table, fresh_table.c.seq == columns.fresh))
            .order_by(columns.link)
        )
        found: dict[tuple[str, str], Given] = {}
        with self._ledger.read() as connection:
            for some in _batches(query, columns.video_id, video_ids):
                for row in connection.execute(some):
                    before = found.get((row.video_id, row.kind))
                    refused = (before.refused if before else 0) + (row.link > 0 and row.reason != NOT_ASKED)
                    found[row.video_id, row.kind] = Given(row.link + 1, refused, _media(row.media or "[]"))
        return found

    def given_up(self, names: Sequence[str]) -> set[str]:
        """Which of these assets are done with for ill."""
        query = sa.select(failure_table.c.name).where(failure_table.c.work == "media", failure_table.c.is_final)
        with self._ledger.read() as connection:
            batches = _batches(query, failure_table.c.name, names)
            return {name for some in batches for name in connection.execute(some).scalars()}

    def read_at_ms(self, expired: Expired) -> int | None:
        """When the page was read that an asset's link comes from."""
        with self._ledger.read() as connection:
            reading = connection.execute(_reading_of(expired)).scalar()
            if reading is not None:
                wanted = sa.select(fresh_table.c.read_at_ms).where(fresh_table.c.seq == reading)
                return connection.execute(wanted).scalar()
            moments = [
                connection.execute(sa.select(sa.func.max(t.c.visited_at_ms)).where(t.c.video_id == expired.video_id))
                for t in (page_table, visit_table)
            ]
            return max(filter(None, [moment.scalar() for moment in moments]), default=None)

    # --- for the collector ---

    def wanted(self) -> list[FrontierItem]:
        """Pages that are to be read again, the longest wanted first: one item a video, whatever waits for it."""
        columns = expired_table.c
        first = sa.func.min(columns.seq)
        query = (
            sa.select(columns.video_id, page_table.c.url, first)
            .join(page_table, page_table.c.video_id == columns.video_id)
            .where(columns.fresh.is_(None))
            .group_by(columns.video_id, page_table.c.url)
            .order_by(first)
        )
        with self._ledger.read() as connection:
            return [links_item(*row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """How many files wait for a fresh link, and how many pages that takes."""
        videos = expired_table.c.video_id
        query = (
            sa.select(sa.func.count(), sa.func.count(videos.distinct()))
            .select_from(expired_table.join(page_table, page_table.c.video_id == videos))
            .where(expired_table.c.fresh.is_(None))
        )
        with self._ledger.read() as connection:
            files, pages = connection.execute(query).one()
        return {"files": files, "pages": pages}

    def commit(self, pages: Iterable[PageRow], failures: Iterable[Failure] = ()) -> None:
        """Commit pages that were read again; an asset that its page shows no more, or cannot show, is given up.

        A reading that nobody waits for any more changes nothing.
        """
        told = [self._ledger.failure_to_sql(failure) for failure in failures]
        with self._ledger.write() as connection:
            for page in pages:
                told += self._answer(connection, page)
            insert_new(connection, failure_table, told)

    def _answer(self, connection: sa.Connection, page: PageRow) -> list[dict[str, Any]]:
        """Write a reading down for all who wait for it; gives the failures of those whom it leaves empty-handed."""
        mine = sa.and_(expired_table.c.video_id == page.video_id, expired_table.c.fresh.is_(None))
        waiting = connection.execute(sa.select(expired_table).where(mine)).mappings().all()
        if not waiting:
            return []
        failure = page.failure or page.refusal
        media = () if failure else page.media
        row = {
            "video_id": page.video_id,
            "media": orjson.dumps(media).decode(),
            "failure": failure,
            "read_at_ms": now_ms(),
        }
        seq = connection.execute(fresh_table.insert().values(**row).returning(fresh_table.c.seq)).scalar_one()
        connection.execute(expired_table.update().where(mine).values(fresh=seq))
        offered = {link.kind for link in media}
        return [
            self._ledger.failure_to_sql(self._without_link(one, page.url, failure or "gone"))
            for one in waiting
            if one["kind"] not in offered
        ]

    def _without_link(self, expired: sa.RowMapping, url: str, reason: str) -> Failure:
        return Failure(
            work="media",
            name=asset_name(expired["video_id"], expired["kind"]),
            platform=self._platform,
            video_id=expired["video_id"],
            url=url,
            reason=reason,
            http_status=None,
            attempt=expired["link"] + 1,
            is_final=True,
            detail="its link had expired, and its page has no other",
        )

    def take_back(self, reasons: Collection[str]) -> list[FrontierItem]:
        """Take back readings that failed for these reasons; gives the pages that are wanted again."""
        failed = fresh_table.c.failure.in_(list(reasons))
        with self._ledger.write() as connection:
            readings = sa.select(fresh_table.c.seq).where(failed)
            videos = set(connection.execute(sa.select(fresh_table.c.video_id).where(failed)).scalars())
            connection.execute(expired_table.update().where(expired_table.c.fresh.in_(readings)).values(fresh=None))
            connection.execute(fresh_table.delete().where(failed))
        return [item for item in self.wanted() if item.payload["video_id"] in videos] if videos else []


def _newest_reading(video_id: str) -> sa.Select[Any]:
    mine = fresh_table.c.video_id == video_id
    return sa.select(fresh_table).where(mine).order_by(fresh_table.c.seq.desc()).limit(1)


def _reading_of(expired: Expired) -> sa.Select[Any]:
    """The reading that an asset's link came from; none for its first link."""
    columns = expired_table.c
    mine = (columns.video_id == expired.video_id, columns.kind == expired.kind, columns.link == expired.link - 1)
    return sa.select(columns.fresh).where(*mine)


def _is_of_use(reading: sa.RowMapping, kind: str) -> bool:
    """Whether a reading made for another asset has a link of this kind that still lives, as far as one can tell."""
    now = now_ms()
    ends = [link.expires_at_ms for link in _media(reading["media"]) if link.kind == kind]
    return bool(ends) and all(end > now if end else reading["read_at_ms"] > now - OLD_MS for end in ends)


def _media(text: str) -> tuple[MediaLink, ...]:
    return tuple(MediaLink(**link) for link in orjson.loads(text))


def _batches(
    query: sa.Select[Any], column: sa.ColumnElement[Any], values: Sequence[str] | None
) -> Iterable[sa.Select[Any]]:
    """The query as it is, or for some values at a time."""
    if values is None:
        return [query]
    starts = range(0, len(values), _IN_BATCH)
    return [query.where(column.in_(values[start : start + _IN_BATCH])) for start in starts]

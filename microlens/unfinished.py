"""Which videos the download nodes are not done with: asked of the ledger a range of ids at a time, never all at once.

A dataset has a million videos, most of them finished; a node that starts must neither hold nor read those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.database import id_ranges
from microlens.ledger_tables import (
    asset_table,
    collected_table,
    failure_table,
    page_table,
    selection_table,
    visit_table,
)
from microlens.refreshes import tells

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microlens.database import IdRange
    from microlens.ledger import Ledger
    from microlens.records import AssetKind, WorkKind

_RANGE = 5_000
_ID = selection_table.c.video_id


def unfinished(ledger: Ledger, kinds: Collection[AssetKind]) -> Iterator[list[str]]:
    """Selected videos that lack a file of these kinds, or their comments, and were not given up.

    One list, perhaps an empty one, for every few thousand selected videos. Some of those named may want nothing all
    the same: whether a title and a cover are worth the comments is not asked in SQL.
    """
    for ids in id_ranges(ledger.database, _ID, _RANGE):
        with ledger.read() as connection:
            yield list(connection.execute(_unfinished(ids, kinds).order_by(_ID)).scalars())


def _unfinished(ids: IdRange, kinds: Collection[AssetKind]) -> sa.Select[Any]:
    """Videos by what holds of each: its newest visit that told something, else its first (`Refreshes.standings`)."""
    newest, later = visit_table.alias(), visit_table.alias()
    is_newer = (
        later.c.video_id == newest.c.video_id,
        ids.has(later.c.video_id),
        later.c.refresh > newest.c.refresh,
        tells(later),
    )
    # The range is told of each table, lest a database look through all visits for some videos.
    standing = sa.and_(
        newest.c.video_id == _ID, ids.has(newest.c.video_id), tells(newest), ~sa.exists().where(*is_newer)
    )

    def told(name: str) -> sa.ColumnElement[Any]:
        return sa.case((newest.c.refresh.is_(None), page_table.c[name]), else_=newest.c[name])

    lacks = [sa.and_(told("media").contains(f'"kind":"{kind}"'), _lacks_file(kind)) for kind in kinds]
    return (
        sa.select(_ID)
        .select_from(selection_table.join(page_table, page_table.c.video_id == _ID).outerjoin(newest, standing))
        .where(ids.has(_ID), ids.has(page_table.c.video_id))
        .where(told("failure").is_(None), told("refusal").is_(None))
        .where(sa.or_(*lacks, _lacks_comments(sa.func.coalesce(newest.c.refresh, 0))))
    )


def _lacks_file(kind: AssetKind) -> sa.ColumnElement[bool]:
    stored = sa.exists().where(asset_table.c.video_id == _ID, asset_table.c.kind == kind)
    return sa.and_(~stored, ~_given_up("media", _ID + f"/{kind}"))


def _lacks_comments(refresh: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    collected = sa.exists().where(collected_table.c.video_id == _ID, collected_table.c.refresh >= refresh)
    # The names of `microlens.records.refreshed`.
    in_refresh = _ID + "@" + sa.cast(refresh, sa.String)
    names = (sa.case((refresh == 0, _ID), else_=in_refresh), in_refresh)
    return sa.and_(~collected, ~_given_up("comments", *names))


def _given_up(work: WorkKind, *names: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    failed = failure_table.c
    # By the video as well: an id may look like the name of another video's work.
    return sa.exists().where(failed.name.in_(names), failed.work == work, failed.video_id == _ID, failed.is_final)

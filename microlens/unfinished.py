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
)
from microlens.refreshes import StandingPages

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


def count_lacking(ledger: Ledger, kinds: Collection[AssetKind]) -> int:
    """How many files of these kinds selected videos lack."""
    count = 0
    for ids in id_ranges(ledger.database, _ID, _RANGE):
        page = StandingPages(ids)
        lacking = sum(sa.case((_lacks_file(page, kind), 1), else_=0) for kind in kinds)
        with ledger.read() as connection:
            count += connection.execute(_wanted(page, ids, sa.func.sum(lacking))).scalar() or 0
    return count


def _unfinished(ids: IdRange, kinds: Collection[AssetKind]) -> sa.Select[Any]:
    page = StandingPages(ids)
    lacks = (_lacks_file(page, kind) for kind in kinds)
    return _wanted(page, ids, _ID).where(sa.or_(*lacks, _lacks_comments(page.refresh)))


def _wanted(page: StandingPages, ids: IdRange, what: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Of the selected videos of a range whose files may be taken."""
    return (
        sa.select(what)
        .select_from(page.rows.join(selection_table, page_table.c.video_id == _ID))
        .where(ids.has(_ID), ids.has(page_table.c.video_id))
        .where(page.told("failure").is_(None), page.told("refusal").is_(None))
    )


def _lacks_file(page: StandingPages, kind: AssetKind) -> sa.ColumnElement[bool]:
    stored = sa.exists().where(asset_table.c.video_id == _ID, asset_table.c.kind == kind)
    return sa.and_(page.offers(kind), ~stored, ~_given_up("media", _ID + f"/{kind}"))


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

"""The comments that stand: of every part, the rows of readings that no later whole list of their video has replaced.

Their texts lie in parts of their own, beside those that pairs are made of (integration.texts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.pair_state import READINGS
from microlens.comment_lists import newest_readings
from microlens.outcomes import PASSING
from microlens.records import refreshed

if TYPE_CHECKING:
    from microlens.runs import Run

_LISTS = pa.schema(
    [
        ("video_id", pa.string()),
        ("refresh", pa.int32()),
        ("path", pa.dictionary(pa.int32(), pa.string())),
        ("comments", pa.int64()),
        ("stands", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class StandingComments:
    """Which rows of which parts count; nearly always whole parts."""

    readings: pa.Table
    """Those that stand and have rows (READINGS), in the order of videos."""
    mixed: frozenset[str] = frozenset()
    """Paths of the parts of which some videos' rows count and others' do not."""
    left_out: tuple[str, ...] = ()
    """Names of the readings that do not stand, in a fixed order."""


def standing_comments(run: Run) -> StandingComments:
    """Sort the run's comment parts; a part holds one reading of a video at most."""
    lists = _lists(run)
    closed = pa.array(_closed_videos(run), pa.string())
    stands = pc.and_not(lists["stands"], pc.is_in(lists["video_id"], closed))
    others = lists.filter(pc.invert(stands))
    readings = lists.select(READINGS.names).filter(pc.and_(stands, lists["path"].is_valid())).cast(READINGS)
    kept, dropped = (set(some["path"].drop_null().unique().to_pylist()) for some in (readings, others))
    left_out = map(refreshed, others["video_id"].to_pylist(), others["refresh"].to_pylist())
    return StandingComments(readings, frozenset(kept & dropped), tuple(sorted(left_out)))


def _lists(run: Run) -> pa.Table:
    """Every complete reading, as columns: a million Python objects would take half a gigabyte."""
    batches = (
        pa.record_batch(
            [pa.array(column, field.type) for column, field in zip(columns, _LISTS, strict=True)], schema=_LISTS
        )
        for columns in run.ledger.reading_columns()
    )
    return pa.Table.from_batches(batches, schema=_LISTS).unify_dictionaries()


def _closed_videos(run: Run) -> list[str]:
    """Videos whose comments were refused for good after they were last read: none is public any more.

    A later attempt that failed for a cause that may pass tells nothing, and neither does one that is still to come.
    """
    if run.refreshes.newest() is None:
        return []
    final = (row for row in run.ledger.final_failures("comments") if row["reason"] not in PASSING)
    closed = {row["name"]: row["video_id"] for row in final if row["name"] != refreshed(row["video_id"], 0)}
    videos = sorted(set(closed.values()))
    newest = newest_readings(run.ledger.comment_lists(videos))
    return [
        one.page.video_id
        for one in run.refreshes.standings(videos)
        if any(
            refreshed(one.page.video_id, number) in closed
            for number in range(newest.get(one.page.video_id, one.refresh) + 1, one.refresh + 1)
        )
    ]

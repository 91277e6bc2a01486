"""The comments that stand: of every part, the rows of readings that no later whole list of their video has replaced.

Their texts lie in parts of their own, beside those that pairs are made of (integration.texts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microlens.comment_lists import newest_readings, that_stand
from microlens.outcomes import PASSING
from microlens.records import refreshed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.comment_lists import CommentList
    from microlens.refreshes import Standing
    from microlens.runs import Run


@dataclass(frozen=True, slots=True)
class StandingComments:
    """Which rows of which parts count; nearly always whole parts."""

    readings: tuple[CommentList, ...]
    """Those that stand, in a fixed order."""
    mixed: frozenset[str] = frozenset()
    """Paths of the parts of which some videos' rows count and others' do not."""
    left_out: tuple[str, ...] = ()
    """Names of the readings that do not stand, in a fixed order."""


def standing_comments(run: Run, standings: Iterable[Standing]) -> StandingComments:
    """Sort the run's comment parts; a part holds one reading of a video at most."""
    lists = run.ledger.comment_lists()
    closed = _closed_lists(run, lists, standings)
    readings = tuple(one for one in that_stand(lists) if one.video_id not in closed)
    standing = {(one.video_id, one.refresh) for one in readings}
    kept: set[str] = set()
    dropped: set[str] = set()
    for one in lists:
        if one.path is not None:
            (kept if (one.video_id, one.refresh) in standing else dropped).add(one.path)
    left_out = (refreshed(*key) for one in lists if (key := (one.video_id, one.refresh)) not in standing)
    return StandingComments(readings, frozenset(kept & dropped), tuple(sorted(left_out)))


def _closed_lists(run: Run, lists: Iterable[CommentList], standings: Iterable[Standing]) -> set[str]:
    """Videos whose comments were refused for good after they were last read: none is public any more.

    A later attempt that failed for a cause that may pass tells nothing, and neither does one that is still to come.
    """
    newest = newest_readings(lists)
    final = run.ledger.final_failures("comments")
    closed = {row["name"] for row in final if row["reason"] not in PASSING}
    return {
        one.page.video_id
        for one in standings
        if any(
            refreshed(one.page.video_id, number) in closed
            for number in range(newest.get(one.page.video_id, one.refresh) + 1, one.refresh + 1)
        )
    }

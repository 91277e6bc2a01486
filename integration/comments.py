"""The comments that stand: of every part, the rows of readings that no later whole list of their video has replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from microlens.comment_lists import newest_readings, that_stand
from microlens.errors import CorruptDataError
from microlens.outcomes import PASSING
from microlens.records import refreshed
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from integration.engines.duckdb import DuckEngine
    from microlens.comment_lists import CommentList
    from microlens.refreshes import Standing
    from microlens.runs import Run

_STANDING = pa.schema([("video_id", pa.string()), ("filename", pa.string())])


@dataclass(frozen=True, slots=True)
class StandingComments:
    """Which rows of which parts count; nearly always whole parts."""

    readings: tuple[CommentList, ...]
    """Those that stand, in a fixed order."""
    whole: tuple[Path, ...]
    mixed: tuple[Path, ...]
    """Parts of which some videos' rows count and others' do not."""
    of_mixed: pa.Table
    """video_id, filename: the rows that do."""
    left_out: tuple[str, ...]
    """Names of the readings that do not stand, in a fixed order."""
    has_words: bool = True
    """Whether there is more in the parts than pairs: texts or genders."""


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
    mixed = kept & dropped
    rows = [
        {"video_id": one.video_id, "filename": str(run.folder / one.path)}
        for one in lists
        if one.path is not None and one.path in mixed and (one.video_id, one.refresh) in standing
    ]
    left_out = (refreshed(*key) for one in lists if (key := (one.video_id, one.refresh)) not in standing)
    return StandingComments(
        readings=readings,
        whole=tuple(run.folder / path for path in sorted(kept - dropped)),
        mixed=tuple(run.folder / path for path in sorted(mixed)),
        of_mixed=pa.Table.from_pylist(rows, schema=_STANDING),
        left_out=tuple(sorted(left_out)),
        has_words=run.recipe.comments.text != "none" or run.recipe.comments.gender,
    )


def add_comments(engine: DuckEngine, comments: StandingComments, name: str = "crawled_comments") -> None:
    """Make the standing rows readable as a table of this name; none where they tell no more than pairs do.

    CorruptDataError names a part that is missing.
    """
    if not comments.has_words:
        engine.add_files(name, (), CRAWLED_COMMENTS)
        return
    for path in (*comments.whole, *comments.mixed):
        if not path.exists():
            raise CorruptDataError(
                f"the part {path} is missing: texts and genders are read from it",
                hint="restore it from a backup: the site may no longer show what it held",
            )
    if not comments.mixed:
        engine.add_files(name, comments.whole, CRAWLED_COMMENTS)
        return
    engine.add_files("comments_of_whole_parts", comments.whole, CRAWLED_COMMENTS)
    engine.add_files("comments_of_mixed_parts", comments.mixed, CRAWLED_COMMENTS, with_filename=True)
    engine.add_table("standing", comments.of_mixed)
    engine.add_view(
        name,
        "SELECT * FROM comments_of_whole_parts UNION ALL "
        "SELECT c.* EXCLUDE (filename) FROM comments_of_mixed_parts AS c SEMI JOIN standing USING (video_id, filename)",
    )


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

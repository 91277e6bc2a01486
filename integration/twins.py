"""Comments on a duplicate, counted as comments on the copy that is kept: `filters.twins: merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.comments import add_comments
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from integration.comments import StandingComments
    from integration.engines.duckdb import DuckEngine

_OWN = "comments_by_page"
"""The table of the same rows, each under the video on whose page it stood."""
_TWINS = "SELECT video_id, twin_of FROM verdicts WHERE twin_of IS NOT NULL"


def add_comments_by_item(engine: DuckEngine, comments: StandingComments) -> None:
    """Make the standing rows readable as `crawled_comments`, those on a twin under the video that stays.

    The engine must have `verdicts`. What follows (the newest of an item, a user's earliest) then sees one list an item.
    """
    add_comments(engine, comments, _OWN)
    columns = ", ".join(
        "coalesce(twins.twin_of, c.video_id) AS video_id" if name == "video_id" else f"c.{name}"
        for name in CRAWLED_COMMENTS.names
    )
    engine.add_view(
        "crawled_comments",
        f"SELECT {columns} FROM {_OWN} AS c LEFT JOIN ({_TWINS}) AS twins ON twins.video_id = c.video_id",
    )


def count_merged(engine: DuckEngine) -> dict[str, int]:
    """Count the duplicates whose comments went to another video, and the interactions that are such a comment."""
    (row,) = engine.query(
        f"SELECT (SELECT count(*) FROM ({_TWINS})) AS videos, count(*) AS interactions FROM interactions AS i "
        f"WHERE EXISTS (SELECT 1 FROM {_OWN} AS c JOIN ({_TWINS}) AS twins ON twins.video_id = c.video_id "
        "WHERE twins.twin_of = i.video_id AND c.user_key = i.user_key AND c.comment_id = i.comment_id "
        "AND c.commented_at_ms = i.commented_at_ms)"
    ).to_pylist()
    return {name: int(count) for name, count in row.items()}

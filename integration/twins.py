"""Comments on a duplicate, counted as comments on the copy that is kept: `filters.twins: merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.comments import add_comments
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from integration.comments import StandingComments
    from integration.engines.duckdb import DuckEngine
    from microlens.manifest import Manifest

_OWN = "comments_by_page"
"""The table of the same rows, each under the video on whose page it stood."""
_TWINS = "SELECT video_id, twin_of FROM verdicts WHERE twin_of IS NOT NULL"
_GROUPS = (
    f"SELECT video_id, twin_of AS counts_for FROM ({_TWINS}) AS copies "
    f"UNION SELECT twin_of, twin_of FROM ({_TWINS}) AS stays ORDER BY video_id"
)
"""All pages of items that have duplicates, their own among them."""


def is_merging(integrated: Manifest) -> bool:
    """Whether comments on duplicates count in these tables."""
    return integrated.counters.get("merged") is not None


def add_twins(engine: DuckEngine, *, is_merging: bool) -> None:
    """Make readable as `twins` which page's comments count for which item, where not only its own do.

    The engine must have `verdicts`.
    """
    twins = engine.query(_GROUPS)
    engine.add_table("twins", twins if is_merging else twins.slice(0, 0))


def add_comments_by_item(engine: DuckEngine, comments: StandingComments) -> None:
    """Make the standing rows readable as `crawled_comments`, those on a twin under the video that stays.

    The engine must have `verdicts`.
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
        f"SELECT (SELECT count(*) FROM ({_TWINS}) AS copies) AS videos, count(*) AS interactions "
        "FROM interactions WHERE page_id <> video_id"
    ).to_pylist()
    return {name: int(count) for name, count in row.items()}

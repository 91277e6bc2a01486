"""Comments on a duplicate, counted as comments on the copy that is kept: `filters.twins: merge`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.engines import Engine
    from microlens.manifest import Manifest

_TWINS = "SELECT video_id, twin_of FROM verdicts WHERE twin_of IS NOT NULL"
_GROUPS = (
    f"SELECT video_id, twin_of AS counts_for FROM ({_TWINS}) AS copies "
    f"UNION SELECT twin_of, twin_of FROM ({_TWINS}) AS stays ORDER BY video_id"
)
"""All pages of items that have duplicates, their own among them."""


def is_merging(integrated: Manifest) -> bool:
    """Whether comments on duplicates count in these tables."""
    return integrated.counters.get("merged") is not None


def add_twins(engine: Engine, *, is_merging: bool) -> None:
    """Make readable as `twins` which page's comments count for which item, where not only its own do.

    The engine must have `verdicts`.
    """
    twins = engine.query(_GROUPS)
    engine.add_table("twins", twins if is_merging else twins.slice(0, 0))


def count_merged(engine: Engine) -> dict[str, int]:
    """Count the duplicates whose comments went to another video, and the interactions that are such a comment."""
    (row,) = engine.query(
        f"SELECT (SELECT count(*) FROM ({_TWINS}) AS copies) AS videos, count(*) AS interactions "
        "FROM interactions WHERE page_id <> video_id"
    ).to_pylist()
    return {name: int(count) for name, count in row.items()}

"""What a filter answers about a video that it does not let through; None is its word for "kept"."""

from __future__ import annotations

from typing import NamedTuple


class Drop(NamedTuple):
    reason: str
    """snake_case word: a column of the verdicts, a row of the report."""
    filter: str
    measured: float | None = None
    """None where there was nothing to measure: a file that was never fetched, or a word, which stands in `detail`."""
    threshold: float | None = None
    detail: str | None = None
    """What a number cannot say: the category or language, a word for why a file does not decode."""
    twin_of: str | None = None
    """video_id of the copy that stays in this one's place."""


def missing_reason(kind: str, *, is_offered: bool, failure: str | None) -> str:
    """Say why an asset was never measured: the site has none, its fetch failed, or nobody has fetched it yet."""
    return f"{kind}_{failure}" if is_offered and failure else f"{kind}_missing"

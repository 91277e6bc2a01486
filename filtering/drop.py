"""What a filter answers about a video that it does not let through; None is its word for "kept"."""

from __future__ import annotations

from typing import NamedTuple


class Drop(NamedTuple):
    reason: str
    """snake_case word: a column of the verdicts, a row of the report."""
    filter: str
    measured: float | None = None
    threshold: float | None = None


def missing_reason(kind: str, *, is_offered: bool, failure: str | None) -> str:
    """Say why an asset was never measured: the site has none, its fetch failed, or nobody has fetched it yet."""
    return f"{kind}_{failure}" if is_offered and failure else f"{kind}_missing"

"""Readings of a video's comments, and which of them stand: the newest whole list, and what later ones added to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class CommentList:
    """One complete reading of a video's comments."""

    video_id: str
    refresh: int
    """0 is the first crawl."""
    comments: int
    """Rows of this reading in its part."""
    is_full: bool
    """All that the site showed: it replaces what was read before. Otherwise only those that had come since."""
    declared: int | None
    """How many the site said there were, in its first answer; None where it does not say."""
    path: str | None
    """Of the part within the run's folder; None without rows."""
    kept_at: str | None = field(default=None, compare=False)
    """In whose folder (microlens.keeping)."""


def that_stand(lists: Iterable[CommentList]) -> list[CommentList]:
    """Of each video the newest whole list and all later additions, oldest first.

    A comment that is in none of them is no longer at its source.
    """
    standing: list[CommentList] = []
    ordered = sorted(lists, key=lambda one: (one.video_id, one.refresh))
    for _, own in groupby(ordered, key=lambda one: one.video_id):
        readings = list(own)
        newest_full = max((at for at, one in enumerate(readings) if one.is_full), default=0)
        standing += readings[newest_full:]
    return standing


def newest_readings(lists: Iterable[CommentList]) -> dict[str, int]:
    """The refresh in which each video's comments were read last."""
    newest: dict[str, int] = {}
    for one in lists:
        newest[one.video_id] = max(one.refresh, newest.get(one.video_id, 0))
    return newest

"""The same bytes uploaded again are the same video; perceptual likeness is a matter of its own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from filtering.drop import Drop

if TYPE_CHECKING:
    from collections.abc import Iterable


class Copy(NamedTuple):
    video_id: str
    sha256: str
    like_count: int | None


def check_duplicates(copies: Iterable[Copy]) -> dict[str, Drop]:
    """Drop all but one of the videos with equal bytes; the answer is keyed by video_id.

    The most-liked one stays (unknown likes rank lowest), of equally liked ones that with the smaller video_id.
    Each drop carries how many videos share the bytes; the threshold is one.
    """
    groups = defaultdict(list)
    for copy in copies:
        groups[copy.sha256].append(copy)
    return {
        copy.video_id: Drop("duplicate_video", "duplicates", len(group), 1)
        for group in groups.values()
        for copy in sorted(group, key=_rank)[1:]
    }


def _rank(copy: Copy) -> tuple[bool, int, str]:
    return copy.like_count is None, -(copy.like_count or 0), copy.video_id

"""One video of those that are the same stays: of the same bytes, or so alike that they show the same."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from filtering.drop import Drop
from filtering.likeness import Looks, find_alike

if TYPE_CHECKING:
    from collections.abc import Iterable


class Copy(NamedTuple):
    video_id: str
    sha256: str
    like_count: int | None


def check_duplicates(copies: Iterable[Copy]) -> dict[str, Drop]:
    """Drop all but one of the videos with equal bytes; the answer is keyed by video_id.

    The most-liked one stays (unknown likes rank lowest), of equally liked ones that with the smaller video_id.
    Each drop carries how many videos share the bytes; the threshold is one. It names the one that stays.
    """
    groups = defaultdict(list)
    for copy in copies:
        groups[copy.sha256].append(copy)
    drops: dict[str, Drop] = {}
    for group in groups.values():
        first, *others = sorted(group, key=_rank)
        drop = Drop("duplicate_video", "duplicates", len(group), 1, twin_of=first.video_id)
        drops |= dict.fromkeys((copy.video_id for copy in others), drop)
    return drops


def check_near_duplicates(videos: Iterable[Looks], bits: int) -> dict[str, Drop]:
    """Drop all but one of the videos that are alike (filtering.likeness), and of those alike to these, and so on.

    The one that stays is chosen as among equal bytes. Each drop carries in how many bits, on average, its pictures
    differ from those of the video that is most alike; the threshold is `bits`. 0 bits asks for nothing.
    """
    if bits == 0:
        return {}
    known = sorted(videos, key=lambda video: video.video_id)
    clusters, nearest = _Clusters(len(known)), dict[int, float]()
    for left, right, away in find_alike(known, bits):
        clusters.join(left, right)
        for place in (left, right):
            nearest[place] = min(away, nearest.get(place, away))
    groups = defaultdict(list)
    for place in nearest:
        groups[clusters.find(place)].append(place)
    drops = {}
    for group in groups.values():
        first, *others = sorted(group, key=lambda place: _rank(known[place]))
        stays = known[first].video_id
        for place in others:
            drops[known[place].video_id] = Drop(
                "near_duplicate_video", "duplicates", nearest[place], bits, twin_of=stays
            )
    return drops


class _Clusters:
    """Union-find with path halving."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, place: int) -> int:
        parent = self._parent
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    def join(self, left: int, right: int) -> None:
        self._parent[self.find(left)] = self.find(right)


def _rank(video: Copy | Looks) -> tuple[bool, int, str]:
    return video.like_count is None, -(video.like_count or 0), video.video_id

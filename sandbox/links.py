"""Which videos a page links to: drawn by appeal, the same for the same seed, page and visit."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sandbox.videos import Videos
    from sandbox.world import World

LINKS_PER_PAGE = 24
_UNIFORM_SHARE = 0.4
"""Part of every draw that ignores appeal, so that each video has its turn."""

_RELATED_SAME_TOPIC = 16


class Links:
    """Draws the links of the home page and of the video pages."""

    def __init__(self, world: World) -> None:
        self._seed = world.config.seed
        self._topic = world.videos.topic
        self._hosts = [_Draw(np.flatnonzero(world.host == host), world.videos) for host in range(world.config.hosts)]
        self._all = _Draw(np.arange(len(world.videos.ids)), world.videos)
        self._of_topic = [
            _Draw(np.flatnonzero(self._topic == topic), world.videos) for topic in range(world.videos.topic_count)
        ]

    def home(self, refresh: int, host: int = 0) -> list[int]:
        """Give the videos of a host on its home page at this refresh (frozen) or this visit (live)."""
        place = ("home", refresh, host) if host else ("home", refresh)
        return _first_distinct(self._hosts[host].sample(self._rng(*place)), LINKS_PER_PAGE)

    def related(self, video: int, visit: int = 0) -> list[int]:
        """Give the videos related to one: two thirds of its topic where there are as many."""
        rng = self._rng("related", video, visit)
        same = self._of_topic[int(self._topic[video])].sample(rng)
        near = [other for other in _first_distinct(same, _RELATED_SAME_TOPIC + 1) if other != video]
        near = near[:_RELATED_SAME_TOPIC]
        rest = (other for other in self._all.sample(rng).tolist() if other != video)
        return _first_distinct((*near, *rest), LINKS_PER_PAGE)

    def _rng(self, *place: object) -> np.random.Generator:
        name = "/".join(map(str, (self._seed, *place)))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]))


class _Draw:
    """Weighted draws with repeats from some videos, a table look-up each."""

    def __init__(self, members: NDArray[np.int64], videos: Videos) -> None:
        self._members = members
        weight = videos.appeal[members]
        even = weight.sum() / max(1, len(members))
        self._cumulated = np.cumsum((1 - _UNIFORM_SHARE) * weight + _UNIFORM_SHARE * even)

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw four pages' worth: enough for one page of distinct links on any but the smallest sites."""
        points = rng.random(4 * LINKS_PER_PAGE) * self._cumulated[-1]
        places = np.searchsorted(self._cumulated, points, side="right")
        return np.asarray(self._members[np.minimum(places, len(self._members) - 1)])


def _first_distinct(videos: Iterable[int] | NDArray[np.int64], count: int) -> list[int]:
    return [int(video) for video in dict.fromkeys(videos)][:count]

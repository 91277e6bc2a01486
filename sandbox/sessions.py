"""Who comments on what, in which order: sessions drawn by taste, popularity and the topic of the video before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sandbox.videos import Videos

STAY = 0.75
"""Chance that the next video has the topic of the one before."""

EXPLORE = 0.08
"""Chance that the next video is drawn from the whole site by appeal alone."""

LENGTH_EXPONENT = 3.72
SHORTEST, LONGEST = 5, 120
"""Figure 3 of the MicroLens paper: P(n) falls as n to the -3.72 from 5 on."""

LIGHT_SHARE = 0.15
"""Further users with one to four videos: a five-core leaves them out."""

_TASTE_WEIGHTS = np.array([[1.0, 0, 0], [0.7, 0.3, 0], [0.6, 0.25, 0.15]])
_TRIES = 24


@dataclass(frozen=True)
class Choices:
    """Which video each user chose, user by user, in the order of choosing."""

    user: NDArray[np.int64]
    video: NDArray[np.int64]


def session_lengths(rng: np.random.Generator, users: int, videos: int) -> NDArray[np.int64]:
    """Draw how many different videos each user comments on; the light users come last."""
    n = np.arange(SHORTEST, max(SHORTEST + 1, min(LONGEST, videos // 3)))
    weight = n**-LENGTH_EXPONENT
    regular = rng.choice(n, users, p=weight / weight.sum())
    light = rng.integers(1, SHORTEST, round(LIGHT_SHARE * users))
    return np.concatenate([regular, light])


def draw_tastes(rng: np.random.Generator, users: int, topic_count: int) -> NDArray[np.float64]:
    """Give each user one to three topics with weights; rows (users, topics) sum to 1."""
    favourites = np.argsort(rng.random((users, topic_count)), axis=1)[:, :3]
    tastes = np.zeros((users, topic_count))
    np.put_along_axis(tastes, favourites, _TASTE_WEIGHTS[rng.integers(0, 3, users)], axis=1)
    return tastes


class TopicDraw:
    """Draws videos of given topics by appeal, for many users at once."""

    def __init__(self, videos: Videos) -> None:
        self._order = np.argsort(videos.topic, kind="stable")
        self._cumulated = np.concatenate([[0.0], np.cumsum(videos.appeal[self._order])])
        edges = np.searchsorted(videos.topic[self._order], np.arange(videos.topic_count + 1))
        self._low = self._cumulated[edges[:-1]]
        self._high = self._cumulated[edges[1:]]

    def from_topics(self, rng: np.random.Generator, topics: NDArray[np.int64]) -> NDArray[np.int64]:
        low, high = self._low[topics], self._high[topics]
        return self._at(low + rng.random(len(topics)) * (high - low))

    def from_all(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        return self._at(rng.random(count) * self._cumulated[-1])

    def _at(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        places = np.searchsorted(self._cumulated, points, side="right") - 1
        return self._order[np.clip(places, 0, len(self._order) - 1)]


def draw_choices(
    rng: np.random.Generator, videos: Videos, tastes: NDArray[np.float64], lengths: NDArray[np.int64]
) -> Choices:
    """Walk all sessions one step at a time; a user never chooses a video twice."""
    draw = TopicDraw(videos)
    cumulated = tastes.cumsum(axis=1)
    chosen = np.full((len(lengths), int(lengths.max())), -1, np.int64)
    for step in range(chosen.shape[1]):
        active = np.flatnonzero(lengths > step)
        topics = _taste_topics(rng, cumulated[active])
        if step:
            before = videos.topic[chosen[active, step - 1]]
            topics = np.where(rng.random(len(active)) < STAY, before, topics)
        topics[rng.random(len(active)) < EXPLORE] = -1
        chosen[active, step] = _draw_unseen(rng, draw, topics, chosen[active, :step])
    user, step_of = np.nonzero(chosen >= 0)
    return Choices(user, chosen[user, step_of])


def _taste_topics(rng: np.random.Generator, cumulated: NDArray[np.float64]) -> NDArray[np.int64]:
    points = rng.random((len(cumulated), 1))
    return np.asarray(np.minimum((cumulated <= points).sum(axis=1), cumulated.shape[1] - 1))


def _draw_unseen(
    rng: np.random.Generator, draw: TopicDraw, topics: NDArray[np.int64], seen: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Draw by topic (-1: any) until unseen; a user whose topic is used up takes any video of the site."""
    picked = np.full(len(topics), -1, np.int64)
    waiting = np.arange(len(topics))
    tries = 0
    while len(waiting):
        wanted = topics[waiting] if tries < _TRIES else np.full(len(waiting), -1)
        videos = np.where(wanted < 0, draw.from_all(rng, len(waiting)), draw.from_topics(rng, np.maximum(wanted, 0)))
        fresh = ~(seen[waiting] == videos[:, None]).any(axis=1)
        picked[waiting[fresh]] = videos[fresh]
        waiting = waiting[~fresh]
        tries += 1
    return picked

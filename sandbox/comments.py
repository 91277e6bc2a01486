"""The site's comments: choices with a time, some of them doubled, in the order of the site's comment numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sandbox.videos import DAY_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sandbox.sessions import Choices

WINDOW_MS = 548 * DAY_MS
"""Eighteen months of comments."""

DOUBLE_SHARE = 0.05
THRICE_SHARE = 0.2
"""Of the users who comment again on a video, those who do so twice."""

_LONGEST_SPAN_MS = 200 * DAY_MS


@dataclass(frozen=True)
class Comments:
    """All comments, oldest first; a comment's number is its place in these arrays."""

    user: NDArray[np.int64]
    video: NDArray[np.int64]
    created_ms: NDArray[np.int64]
    code: NDArray[np.int64]
    """Decides the text."""

    by_video: NDArray[np.int64]
    """Comment numbers sorted by video, oldest first within one."""

    start: NDArray[np.int64]
    """Video v's comments are `by_video[start[v]:start[v + 1]]`."""

    def of_video(self, video: int) -> NDArray[np.int64]:
        """Give the numbers of a video's comments, oldest first."""
        return self.by_video[self.start[video] : self.start[video + 1]]


def make_comments(
    rng: np.random.Generator, choices: Choices, video_count: int, end_ms: int, *, is_shuffled: bool
) -> Comments:
    """Date the choices and double some; shuffled, every choice goes to a random user, with its time and doubles."""
    first_ms = _times(rng, choices.user, end_ms)
    origin, again_ms = _doubles(rng, choices.user, first_ms, end_ms)
    owner = _shuffle_owners(rng, choices) if is_shuffled else choices.user
    origin = np.concatenate([np.arange(len(owner)), origin])
    user, video = owner[origin], choices.video[origin]
    created = make_distinct(user, np.concatenate([first_ms, again_ms]))
    order = np.lexsort((video, user, created))
    user, video, created = user[order], video[order], created[order]
    by_video = np.argsort(video, kind="stable")
    return Comments(
        user=user,
        video=video,
        created_ms=created,
        code=rng.integers(0, 2**31, len(user)),
        by_video=by_video,
        start=np.searchsorted(video[by_video], np.arange(video_count + 1)),
    )


def _times(rng: np.random.Generator, user: NDArray[np.int64], end_ms: int) -> NDArray[np.int64]:
    """Date each user's choices in their order, within a span of the user's own."""
    users = int(user.max()) + 1
    span = rng.integers(DAY_MS, _LONGEST_SPAN_MS, users)
    begin = end_ms - WINDOW_MS + (rng.random(users) * (WINDOW_MS - span - DAY_MS)).astype(np.int64)
    point = rng.random(len(user))
    point = point[np.lexsort((point, user))]
    place = np.arange(len(user)) - np.searchsorted(user, user)
    return begin[user] + (point * span[user]).astype(np.int64) + place


def _doubles(
    rng: np.random.Generator, user: NDArray[np.int64], first_ms: NDArray[np.int64], end_ms: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose rows that get one or two more comments, and when: rows and times."""
    starts = np.unique(user, return_index=True)[1]
    sizes = np.diff(np.append(starts, len(user)))
    talkers = rng.random(len(starts)) < DOUBLE_SHARE
    rows = starts[talkers] + (rng.random(talkers.sum()) * sizes[talkers]).astype(np.int64)
    rows = np.concatenate([rows, rows[rng.random(len(rows)) < THRICE_SHARE]])
    later = 1 + (rng.random(len(rows)) * (end_ms - first_ms[rows] - DAY_MS // 2)).astype(np.int64)
    return rows, first_ms[rows] + later


def make_distinct(user: NDArray[np.int64], created: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move comments by a millisecond until no user has two at one time."""
    created = created.copy()
    while True:
        order = np.lexsort((created, user))
        same = (np.diff(user[order]) == 0) & (np.diff(created[order]) == 0)
        if not same.any():
            return created
        created[order[1:][same]] += 1


def _shuffle_owners(rng: np.random.Generator, choices: Choices) -> NDArray[np.int64]:
    """Deal the users over all choices again, until none has a video twice; lengths and popularity stay."""
    owner = rng.permutation(choices.user)
    while True:
        order = np.lexsort((choices.video, owner))
        same = (np.diff(owner[order]) == 0) & (np.diff(choices.video[order]) == 0)
        if not same.any():
            return owner
        for row in order[1:][same].tolist():
            other = int(rng.integers(len(owner)))
            owner[row], owner[other] = owner[other], owner[row]

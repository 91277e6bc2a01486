"""The same world some days later: comments come and go, counts grow, a few videos vanish or are closed.

A day is a function of the seed and its number alone, so every later world continues the earlier ones: what is there
keeps its id, and new comments are newer than all before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sandbox import flaws
from sandbox.comments import Comments, make_distinct
from sandbox.videos import DAY_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sandbox.videos import Videos
    from sandbox.world import World

BUSY_SHARE = 0.4
"""Of the videos, those that get new comments on a day; the others' lists stay as they are, but for deletions."""

SHRINKING_SHARE = 0.15
"""Of the videos, those that lose up to three of their comments on a day."""

LEAVING_SHARE = 0.02
"""Of the videos, for each of the ways to leave: deleted, made private, closed to datasets."""

_MOST_NEW, _MOST_LOST = 6, 3
_FIRST_DAY_STREAM = 1000


def after(world: World, days: int, end_ms: int) -> World:
    """Give the world `days` days after `end_ms`, its last moment so far."""
    for day in range(1, days + 1):
        rng = np.random.default_rng([world.config.seed, _FIRST_DAY_STREAM + day])
        fewer = _delete(rng, world.comments, len(world.videos.ids))
        comments = _add(rng, fewer, len(world.videos.ids), len(world.user_ids), end_ms + (day - 1) * DAY_MS)
        world = replace(world, videos=_grow(rng, world.videos), comments=comments)
    return world


def _some(rng: np.random.Generator, count: int, share: float) -> NDArray[np.int64]:
    return rng.permutation(count)[: max(1, round(share * count))]


def _delete(rng: np.random.Generator, comments: Comments, video_count: int) -> Comments:
    """Take a few comments of some videos off the site, of the first of them the newest as well; numbers stay."""
    lost: list[int] = []
    for place, video in enumerate(_some(rng, video_count, SHRINKING_SHARE).tolist()):
        own = comments.of_video(video)
        chosen = rng.permutation(own)[: rng.integers(1, _MOST_LOST + 1)].tolist()
        lost += chosen if place else [*chosen, *own[-1:].tolist()]
    return _listed(comments, comments.by_video[~np.isin(comments.by_video, lost)], video_count)


def _add(rng: np.random.Generator, comments: Comments, video_count: int, user_count: int, start_ms: int) -> Comments:
    """Have some videos commented on, by anybody, within the day after `start_ms`."""
    busy = _some(rng, video_count, BUSY_SHARE)
    video = np.repeat(busy, rng.integers(1, _MOST_NEW + 1, len(busy)))
    user = rng.integers(0, user_count, len(video))
    # The day's last minutes stay free for those who are moved apart.
    created = make_distinct(user, start_ms + 1 + rng.integers(0, DAY_MS - DAY_MS // 100, len(video)))
    order = np.lexsort((video, user, created))
    first = len(comments.user)
    longer = replace(
        comments,
        user=np.concatenate([comments.user, user[order]]),
        video=np.concatenate([comments.video, video[order]]),
        created_ms=np.concatenate([comments.created_ms, created[order]]),
        code=np.concatenate([comments.code, rng.integers(0, 2**31, len(video))]),
    )
    return _listed(longer, np.concatenate([comments.by_video, np.arange(first, first + len(video))]), video_count)


def _listed(comments: Comments, live: NDArray[np.int64], video_count: int) -> Comments:
    """The same comments, of which the site shows only the live ones."""
    live = np.sort(live)
    by_video = live[np.argsort(comments.video[live], kind="stable")]
    start = np.searchsorted(comments.video[by_video], np.arange(video_count + 1))
    return replace(comments, by_video=by_video, start=start)


def _grow(rng: np.random.Generator, videos: Videos) -> Videos:
    """More likes and views for all; some of the videos without a flaw leave, each way of leaving as often."""
    likes = videos.likes + rng.integers(0, videos.likes // 20 + 2)
    sound = [video for video, kind in enumerate(videos.flaws.kind) if not kind]
    each = max(1, round(LEAVING_SHARE * len(sound)))
    leaving = rng.permutation(sound)[: len(flaws.WAYS_TO_LEAVE) * each].tolist()
    kind = list(videos.flaws.kind)
    for place, video in enumerate(leaving):
        kind[video] = flaws.WAYS_TO_LEAVE[place % len(flaws.WAYS_TO_LEAVE)]
    views = videos.views + (likes - videos.likes) * 2 + rng.integers(0, 100, len(likes))
    odd = list(videos.more_likes_than_views)
    views[odd] = likes[odd] // 3
    return replace(videos, likes=likes, views=views, flaws=replace(videos.flaws, kind=kind))

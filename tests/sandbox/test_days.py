"""The site some days later: what is there keeps its id, new comments are newer, and each kind of change happens."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import flaws
from sandbox.process import SandboxSite
from sandbox.truth import expected_release, fates
from sandbox.videos import DAY_MS
from sandbox.world import WORLD_END_MS, WorldConfig, generate

SMALL = {"videos": 60, "users": 300, "seed": 9}


def days(count, **config):
    return [generate(WorldConfig(**{**SMALL, **config}, day=day)) for day in range(count)]


def live(world):
    return [set(world.comments.of_video(video).tolist()) for video in range(len(world.videos.ids))]


@settings(max_examples=10, deadline=None)
@given(st.integers(30, 70), st.integers(10, 60), st.integers(0, 1_000))
def test_a_later_world_continues_the_earlier(videos, users, seed):
    """Comments keep number, writer, time and text; new ones are newer than all before; none comes back."""
    earlier, later = (generate(WorldConfig(videos, users, seed, day=day)) for day in (1, 2))
    count = len(earlier.comments.user)

    assert earlier.videos.ids == later.videos.ids
    assert np.array_equal(earlier.comments.user, later.comments.user[:count])
    assert np.array_equal(earlier.comments.created_ms, later.comments.created_ms[:count])
    assert [earlier.comment_text(n) for n in range(20)] == [later.comment_text(n) for n in range(20)]
    assert later.comments.created_ms[count:].min() > WORLD_END_MS + DAY_MS > earlier.comments.created_ms.max()
    assert all({n for n in now if n < count} <= before for before, now in zip(live(earlier), live(later), strict=True))
    assert all((np.diff(later.comments.created_ms[later.comments.of_video(v)]) >= 0).all() for v in range(videos))


def test_each_kind_of_change_happens():
    """On a day some videos gain comments, some lose some, most keep theirs, and all counts grow."""
    first, second = days(2)
    gained = [len(now - before) for before, now in zip(live(first), live(second), strict=True)]
    lost = [len(before - now) for before, now in zip(live(first), live(second), strict=True)]

    assert 0.2 < np.mean(np.array(gained) > 0) < 0.6
    assert 0.05 < np.mean(np.array(lost) > 0) < 0.3
    assert (second.videos.likes >= first.videos.likes).all()
    assert set(np.flatnonzero(second.videos.views <= second.videos.likes)) == second.videos.more_likes_than_views
    assert set(flaws.WAYS_TO_LEAVE) <= set(fates(second).values())


def test_the_truth_of_a_later_day_is_its_own():
    """What left is dropped for its reason, and no interaction rests on a deleted comment alone."""
    first, second = days(2)
    ids = {video_id for video_id, fate in fates(first).items() if fate == "kept"}
    before, after = expected_release(first, ids, min_user=1), expected_release(second, ids, min_user=1)

    assert {"gone", "private", "robots_noai"} <= set(after.dropped.values())
    assert after.interactions - before.interactions
    assert before.interactions - after.interactions


def test_the_site_answers_as_of_its_day(fetch, tmp_path):
    """A private video is 403 and one closed to datasets carries its tag; comments are counted as they are now."""
    with SandboxSite(**SMALL, day=1, frozen=True, media_dir=tmp_path) as site:
        world = site.world
        by_kind = {kind: world.videos.ids[at] for at, kind in enumerate(world.videos.flaws.kind)}
        private = fetch(f"{site.url}/v/{by_kind[flaws.PRIVATE]}")
        closed = fetch(f"{site.url}/v/{by_kind[flaws.CLOSED]}")
        plain = fetch(f"{site.url}/api/videos/{by_kind['']}/comments")

    assert (403, 200, "noai") == (private.status, closed.status, closed.headers["X-Robots-Tag"])
    assert len(world.comments.of_video(world.index[by_kind[""]])) == json.loads(plain.text)["total"]


@pytest.mark.parametrize("day", [0, 3])
def test_a_day_is_the_same_whenever_it_is_made(day):
    """Two worlds of one day agree in comments and fates."""
    one, other = (generate(WorldConfig(**SMALL, day=day)) for _ in range(2))

    assert live(one) == live(other)
    assert fates(one) == fates(other)

"""The world is the same for the same seed, and its numbers are those that were promised."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microlens.errors import RecipeError
from sandbox.world import WORLD_END_MS, WorldConfig, generate

MONTHS_18_MS = 548 * 86_400_000
SMALL = {"videos": 40, "users": 60}


def pairs(world):
    return list(zip(world.comments.user.tolist(), world.comments.video.tolist(), strict=True))


def test_one_seed_makes_one_world():
    """Two worlds of one config agree in every comment, title and like."""
    one, other = (generate(WorldConfig(**SMALL, seed=5)) for _ in range(2))

    assert one.videos.titles == other.videos.titles
    assert one.user_ids == other.user_ids
    assert np.array_equal(one.videos.likes, other.videos.likes)
    assert np.array_equal(one.comments.created_ms, other.comments.created_ms)
    assert [one.comment_text(n) for n in range(50)] == [other.comment_text(n) for n in range(50)]


def test_another_seed_makes_another_world():
    """Worlds of two seeds share no video id and no user id."""
    one, other = (generate(WorldConfig(**SMALL, seed=seed)) for seed in (5, 6))

    assert not set(one.videos.ids) & set(other.videos.ids)
    assert not set(one.user_ids) & set(other.user_ids)


def test_videos_do_not_depend_on_the_number_of_users():
    """More users leave the videos as they were, so that their media can be kept."""
    few, many = (generate(WorldConfig(videos=40, users=users)) for users in (20, 80))

    assert few.videos.ids == many.videos.ids
    assert few.videos.titles == many.videos.titles
    assert few.videos.flaws.kind == many.videos.flaws.kind


@pytest.mark.parametrize("wrong", [{"videos": 3}, {"users": 0}, {"seed": -1}])
def test_a_world_that_cannot_be_is_refused(wrong):
    """A config names the values that it cannot use."""
    with pytest.raises(RecipeError, match=str(next(iter(wrong.values())))):
        WorldConfig(**wrong)


@settings(max_examples=15, deadline=None)
@given(st.integers(30, 90), st.integers(10, 80), st.integers(0, 10_000), st.booleans())
def test_every_world_is_whole(videos, users, seed, is_shuffled):
    """Whatever the size, every comment has its user, its video, its own time for its user, and one place by video."""
    world = generate(WorldConfig(videos, users, seed, is_shuffled))
    comments = world.comments

    assert len(set(world.videos.ids)) == videos
    assert len(set(world.user_ids)) == len(world.user_ids) > users
    assert (np.diff(comments.created_ms) >= 0).all()
    assert len(set(zip(comments.user.tolist(), comments.created_ms.tolist(), strict=True))) == len(comments.user)
    assert sorted(np.concatenate([comments.of_video(v) for v in range(videos)])) == list(range(len(comments.user)))
    assert all((comments.video[comments.of_video(v)] == v).all() for v in range(videos))


def test_sessions_follow_figure_3(demo):
    """Of the regular users' sessions the mean is 7.2 videos, 95% have at most 13, and none has under 5."""
    lengths = np.array(list(Counter(user for user, _ in set(pairs(demo)) if user < 4000).values()))

    assert len(lengths) == 4000
    assert lengths.min() == 5
    assert lengths.mean() == pytest.approx(7.2, abs=0.3)
    assert 12 <= np.quantile(lengths, 0.95) <= 14


def test_light_users_come_on_top(demo):
    """Another 15% of users have one to four videos."""
    lengths = Counter(user for user, _ in set(pairs(demo)) if user >= 4000)

    assert len(lengths) == 600
    assert set(lengths.values()) == {1, 2, 3, 4}


def test_some_users_comment_again(demo):
    """About 5% of users comment on one video twice, a few of them three times, each time later."""
    again = Counter(Counter(pairs(demo)).values())

    assert set(again) == {1, 2, 3}
    assert (again[2] + again[3]) / len(demo.user_ids) == pytest.approx(0.05, abs=0.01)


def test_comments_lie_in_eighteen_months(demo):
    """All comments lie between their video's publication and the world's fixed end."""
    created = demo.comments.created_ms

    assert created.max() <= WORLD_END_MS
    assert created.min() >= WORLD_END_MS - MONTHS_18_MS
    assert (created > demo.videos.published_ms[demo.comments.video]).all()


def test_likes_split_at_ten_thousand(demo):
    """65% of videos have more than 10,000 likes, some exactly 10,000, and views exceed likes but for a few."""
    likes = demo.videos.likes

    assert (likes > 10_000).mean() == pytest.approx(0.65, abs=0.01)
    assert (likes == 10_000).sum() == 3
    assert (demo.videos.views <= likes).sum() == len(demo.videos.more_likes_than_views)
    assert np.corrcoef(np.log(likes), np.log(demo.videos.appeal))[0, 1] > 0.8


def test_half_of_the_users_show_their_gender(demo):
    """Gender is public for about half of the users."""
    shown = Counter(demo.genders)

    assert shown[None] / len(demo.genders) == pytest.approx(0.5, abs=0.04)
    assert set(shown) == {None, "female", "male"}


def test_some_comments_hold_private_things(demo):
    """Addresses, mentions, links and phone numbers occur in a few per cent of the comments."""
    texts = [demo.comment_text(number) for number in range(6000)]

    for mark in ("@example.", "@friend_", "https://", "+1 (202)", "138-0013"):
        assert 10 < sum(mark in text for text in texts) < 200


def test_user_ids_are_long(demo):
    """A raw user id has 16 characters."""
    assert {len(user_id) for user_id in demo.user_ids} == {16}

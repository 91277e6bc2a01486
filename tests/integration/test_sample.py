"""Draws from small made tables: each rule against plain Python, whatever the order and the parts of the rows."""

import dataclasses
import random
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.draw import Draw
from integration.sample import check_enough, check_left
from microlens.errors import RecipeError, TooFewUsersError
from tests.integration.drawing import core_by_hand, draw_from, drawing, drawn_by_hand, in_order, pool_by_hand, tables

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
dices = st.integers(0, 2**32).map(random.Random)


@pytest.fixture
def place(tmp_path):
    """Where draws are made."""
    with drawing(tmp_path) as at:
        yield at


def at(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


draws = st.builds(
    Draw,
    users=st.none() | st.integers(1, 8),
    min_user=st.integers(1, 3),
    max_user=st.none() | st.integers(3, 5),
    seed=st.none() | st.integers(4, 6),
    stage=st.sampled_from([None, None, "seed", "related"]),
    min_likes=st.sampled_from([None, None, 1, 2]),
    pool=st.none() | st.integers(1, 5),
    cutoff=st.none() | st.integers(1, 12).map(at),
)


def drawn(made, draw, place, **order):
    """The pairs that are drawn; a pool without items is an error, and so is one without comments before the cutoff."""
    wrong = None if pool_by_hand(made, draw) else "no item has"
    if draw.cutoff_ms is not None and all(draw.cutoff_ms <= row["commented_at_ms"] for row in made.pairs):
        wrong = wrong or "before the first comment"
    if wrong is None:
        return draw_from(made, draw, place, **order)[1]
    with pytest.raises(RecipeError, match=wrong):
        draw_from(made, draw, place, **order)
    return []


@given(dice=dices, draw=draws, shuffle=st.integers(0, 9), parts=st.integers(1, 4))
@quick
def test_a_draw_is_what_is_counted_by_hand(place, dice, draw, shuffle, parts):
    """Pool, cutoff, users with enough pairs in it, the first by their hash, and all that these did in the pool."""
    made = tables(dice)

    assert in_order(drawn_by_hand(made, draw)[0]) == drawn(made, draw, place, shuffle=shuffle, parts=parts)


@given(dice=dices, draw=draws, smaller=st.integers(1, 6), more=st.integers(0, 6))
@quick
def test_draws_of_one_seed_pool_and_cutoff_are_nested(place, dice, draw, smaller, more):
    """A smaller draw's pairs lie within a larger one's, and so its users and items, whatever the order of rows."""
    made = tables(dice)
    few = drawn(made, dataclasses.replace(draw, users=smaller), place, shuffle=1, parts=3)
    many = drawn(made, dataclasses.replace(draw, users=smaller + more), place, shuffle=2)

    assert {tuple(row.values()) for row in few} <= {tuple(row.values()) for row in many}
    for row in many:
        is_of_few = row["user_key"] in {other["user_key"] for other in few}
        assert (row in few) == is_of_few


@given(dice=dices, min_user=st.integers(1, 4), min_item=st.integers(1, 5), k_core=st.none() | st.integers(2, 4))
@quick
def test_a_core_is_the_largest_part_that_keeps_to_its_counts(place, dice, min_user, min_item, k_core):
    """In whatever order what is too rare is dropped, the same is left; nothing in it is too rare."""
    made = tables(dice, pairs=80)
    draw = Draw(users=9, min_user=min_user, min_item=min_item, k_core=k_core)
    least_user, least_item = max(min_user, k_core or 1), max(min_item, k_core or 1)
    wanted = drawn_by_hand(made, draw)[0]
    if least_item > 1:
        wanted = core_by_hand(wanted, least_user, least_item, dice)

    found = draw_from(made, draw, place)[1]

    assert in_order(wanted) == found


@pytest.mark.parametrize("pool", [None, 3])
@pytest.mark.parametrize("users", [20, 400, 5000])
def test_users_are_looked_at_no_further_than_needed(place, pool, users):
    """Of 3000 users only a part is counted where few are wanted; those drawn are the first of all the same."""
    made = tables(random.Random(users), items=40, users=3000, pairs=16_000)
    draw = Draw(users=users, min_user=2, pool=pool)
    sampled, pairs = draw_from(made, draw, place)
    wanted, eligible = drawn_by_hand(made, draw)

    assert in_order(wanted) == pairs
    assert (len(eligible), len(wanted)) == (sampled.users, sampled.pairs)
    candidates = place[1] / "candidates.parquet"
    looked_at = pq.read_metadata(candidates).num_rows
    assert looked_at >= len(eligible)
    assert users > 20 or looked_at < len(made.users()) / 2


def test_likes_are_those_at_the_cutoff(place):
    """A video liked only later is not in the pool of before; one that was first seen later counts as then."""
    made = tables(random.Random(1), items=3, users=3, pairs=30)
    made.snapshots = [
        {"video_id": "v0", "crawled_at_ms": 2, "like_count": 1},
        {"video_id": "v0", "crawled_at_ms": 8, "like_count": 9},
        {"video_id": "v1", "crawled_at_ms": 9, "like_count": 9},
        {"video_id": "v2", "crawled_at_ms": 2, "like_count": 9},
        {"video_id": "v2", "crawled_at_ms": 5, "like_count": 1},
    ]
    for row in made.pairs:
        row["commented_at_ms"] = 1
    pools = []
    for cutoff in (5, 6, 9):
        pairs = draw_from(made, Draw(min_user=1, min_likes=5, cutoff=at(cutoff)), place)[1]
        pools.append({row["video_id"] for row in pairs})

    assert [{"v1", "v2"}, {"v1"}, {"v0", "v1"}] == pools


def test_a_cutoff_before_the_first_comment_is_named(place):
    """Both moments are told; a run without comments is no error."""
    made = tables(random.Random(2))
    for row in made.pairs:
        row["commented_at_ms"] += 86_400_000

    with pytest.raises(RecipeError, match=r"1970-01-01 00:00 lies before the first comment \(1970-01-02"):
        draw_from(made, Draw(cutoff=at(0)), place)
    made.pairs = []
    assert [] == draw_from(made, Draw(cutoff=at(0)), place)[1]


def test_a_pool_without_items_is_named(place):
    """The error says which rules left nothing."""
    with pytest.raises(RecipeError, match="no item has --stage seed --min-likes 10000") as failed:
        draw_from(tables(random.Random(3)), Draw(stage="seed", min_likes=10_000, preset="paper"), place)

    assert 2 == failed.value.exit_code


def test_too_few_users_fail_in_strict_mode_alone():
    """The error says how many there are, of which kind, and ends the command with 4; so does a core without anybody."""
    lax, strict = Draw(users=5, max_user=9, stage="seed", k_core=7), Draw(users=5, k_core=7, is_strict=True)

    check_enough(lax, 4, "run")
    check_left(lax, 0)
    check_enough(strict, 5, "run")
    check_left(strict, 1)
    with pytest.raises(TooFewUsersError, match="has 4 with at least 5 and at most 9 interactions within the pool"):
        check_enough(dataclasses.replace(lax, is_strict=True), 4, "run")
    with pytest.raises(TooFewUsersError, match="users have 7 interactions and items 7") as failed:
        check_left(strict, 0)
    assert 4 == failed.value.exit_code


def test_rules_are_told_as_they_are_typed():
    """What is at its default is left out, but for the fewest interactions of a user."""
    draw = Draw(users=5, cutoff=at(0), preset="paper", stage="seed", name="x", k_core=3)

    assert {
        "--users": "5",
        "--min-user": "5",
        "--k-core": "3",
        "--stage": "seed",
        "--cutoff": "1970-01-01T00:00:00Z",
        "--preset": "paper",
    } == dict(draw.rules())

"""Temporal splits and warm items: what is trained on, what is asked, and what is refused."""

from dataclasses import replace

import numpy as np
import orjson
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benchmark.data.lists import Lists
from benchmark.data.release import Interactions, load_release
from benchmark.data.side import Side, Tags
from benchmark.data.temporal import temporal
from benchmark.data.warm import only_items, warm_items
from benchmark.protocol import Protocol
from benchmark.run import run_benchmark
from microlens.errors import NotReadyError, RecipeError
from tests.benchmark.timed import timed_release

DAY = 86_400_000
ROWS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(0, 40)), min_size=8, max_size=60)


def world_of(rows, item_count=9):
    """Rows (user, item, time), in the order in which they are given."""
    user, item, time = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Interactions("toy", np.arange(1, item_count + 1), user, item, np.arange(len(user)), time)


def test_a_temporal_split_cuts_everyone_at_the_same_moments():
    """The first item of each window is asked for, after all that came before it; the third user has no history."""
    world = world_of(
        [(1, 1, 0), (1, 2, 1), (1, 3, 5), (1, 4, 6), (1, 5, 8), (2, 6, 1), (2, 7, 9), (3, 8, 5), (3, 9, 9)]
    )
    split = temporal(replace(world, timestamp_ms=world.timestamp_ms * DAY), keep=5, cuts=("1970-01-04", "1970-01-08"))

    assert [[0, 1, 2], [0, 0, 6]] == split.train.tolist()
    assert [[0, 1], [0, 2], [1, 6]] == split.pairs.tolist()
    assert ([0], [[0, 1, 2]], [3]) == tuple(
        one.tolist() for one in (split.validation.users, split.validation.history, split.validation.target)
    )
    assert ([0, 1], [[1, 2, 3, 4], [0, 0, 0, 6]], [5, 7]) == tuple(
        one.tolist() for one in (split.test.users, split.test.history, split.test.target)
    )
    assert [1, 2, 3, 4] == split.test.seen.of(torch.tensor([0]))[1].tolist()
    assert [1, 2] == split.user_ids.tolist()
    assert 1 == split.skipped_user_count
    assert {"users_without_validation": 1, "users_without_test": 0} == split.left_out
    assert 9 == split.item_count  # 8 and 9, which nobody met in training, are ranked as well


@given(ROWS)
@hypothesis_settings(deadline=None)
def test_no_time_leaks(rows):
    """Every training time < every validation target's < every test target's; no history is younger than its target."""
    # An item for each row: an item tells its row, and its time.
    world = world_of([(user, place, time) for place, (user, _, time) in enumerate(rows, 1)], len(rows))
    try:
        split = temporal(world, keep=30)
    except (RecipeError, NotReadyError):
        assume(condition=False)
    time = torch.tensor([-1, *(time for _, _, time in rows)])
    train, validation, test = (time[one] for one in (split.pairs[:, 1], split.validation.target, split.test.target))

    assert train.max() < validation.min()
    assert validation.max() < test.min()
    for question in (split.validation, split.test):
        assert (time[question.history].max(1).values < time[question.target]).all()
        owner = torch.tensor([0, *(user for user, _, _ in rows)])
        assert (owner[question.target] == torch.from_numpy(split.user_ids)[question.users]).all()


def test_a_release_without_times_refuses_a_temporal_split(small_release):
    """A table without the column, or with nulls in it, is read; the split says why it cannot be."""
    with pytest.raises(NotReadyError, match="`timestamp_ms` is null") as caught:
        run_benchmark(small_release, ["popularity"], protocol=Protocol("temporal"))

    assert "leave-one-out" in caught.value.hint


def test_null_times_are_no_times(tmp_path, make_world, write_release):
    """One null is enough: an interaction without a time is on neither side of a moment."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = timed_release(tmp_path, make_world, write_release, users=20)
    path = folder / "data" / "interactions.parquet"
    table = pq.read_table(path)
    whole = load_release(folder).timestamp_ms
    pq.write_table(table.set_column(3, "timestamp_ms", pa.array([None, *whole[1:].tolist()], pa.int64())), path)

    assert np.array_equal(table["timestamp_ms"].to_numpy(), whole)
    assert load_release(folder).timestamp_ms is None


@pytest.mark.parametrize(
    ("cuts", "why"),
    [
        (("0.9", "0.8"), "does not come first"),
        (("0.5", "0.5"), "does not come first"),
        (("0.5",), "two moments, not 1"),
        (("0.5", "1.5"), "no share between 0 and 1"),
        (("0.5", "tomorrow"), "neither a share of all interactions nor a date"),
    ],
)
def test_moments_that_cannot_be_used_are_named(cuts, why):
    """Each is refused with what it is and how one is spelled."""
    with pytest.raises(RecipeError, match=why):
        temporal(world_of([(1, 1, day * DAY) for day in range(10)]), cuts=cuts)


def test_an_empty_window_is_told():
    """If nobody with a history comes back, there is nothing to ask."""
    with pytest.raises(NotReadyError, match="nobody can be asked about the test window"):
        temporal(world_of([(1, 1, 0), (1, 2, 5), (2, 3, 9)]), cuts=("0.5", "0.9"))


def test_warm_items_are_counted_before_the_split():
    """Item 2 occurs three times and item 1 twice, in whatever part of a sequence; counts are not taken again."""
    world = world_of(
        [(1, 1, 0), (1, 2, 1), (1, 3, 2), (2, 2, 3), (2, 1, 4), (3, 2, 5), (3, 3, 6), (3, 4, 7), (4, 4, 8)]
    )

    assert [1, 2, 3, 4] == warm_items(world, 2).tolist()
    assert [2] == warm_items(world, 3).tolist()
    assert list(range(1, 5)) == warm_items(world, 0).tolist()  # what nobody met is no item of the ranking


def test_what_is_not_warm_is_gone_and_counted():
    """Items are numbered anew; users who lost everything, or became too short, are counted apart."""
    world = world_of(
        [(1, 7, 0), (1, 2, 1), (1, 7, 2), (2, 7, 3), (2, 7, 4), (2, 7, 5), (3, 9, 6), (3, 9, 7), (4, 3, 8)]
    )
    warm = only_items(world, warm_items(world, 2))

    assert [1, 1, 1, 1, 1, 2, 2] == warm.item.tolist()
    assert 2 == warm.item_count
    assert [0, 2, 3, 4, 5, 6, 7] == warm.timestamp_ms.tolist()
    assert {
        "items_removed": 7, "interactions_removed": 2, "users_removed": 1, "users_become_too_short": 1
    } == warm.left_out  # fmt: skip


def test_side_information_moves_with_its_item():
    """Rows and tags of warm items are those of the items that they are, whatever their new numbers."""
    tags = Tags(Lists(torch.tensor([5, 6, 7, 1, 2, 3]), torch.tensor([0, 0, 2, 3, 6])), 7)
    whole = Side(None, features={"any": torch.tensor([[0.0], [1.0], [2.0], [3.0]])}, tags=tags)
    side = whole.only(np.array([1, 3]))

    assert [[0.0], [1.0], [3.0]] == side.features("any").tolist()
    assert [0, 0, 2, 5] == side.tags().of_item.bounds.tolist()
    assert [5, 6, 1, 2, 3] == side.tags().of_item.values.tolist()
    assert 7 == side.tags().count


def test_no_warm_item_is_told_with_the_most_popular_one():
    """A threshold above all counts has nothing left to rank."""
    with pytest.raises(NotReadyError, match="the most popular one has 2"):
        warm_items(world_of([(1, 1, 0), (1, 1, 1), (1, 2, 2)]), 3)


def test_a_leaderboard_tells_how_it_was_asked(tmp_path, make_world, write_release):
    """Split, moments, threshold and what was left out stand in leaderboard.json; every target's count by its user."""
    release = timed_release(tmp_path, make_world, write_release)
    run_benchmark(release, ["popularity"], protocol=Protocol("temporal", warm=5), out=tmp_path / "out", device="cpu")
    told = orjson.loads((tmp_path / "out" / "leaderboard.json").read_bytes())["protocol"]
    (path,) = (tmp_path / "out" / "ranks").iterdir()
    ranks = np.load(path)

    assert ("temporal, warm-5", 5, ["0.8", "0.9"]) == (told["asked"], told["warm"], told["cuts"])
    assert told["split"].startswith("temporal: training before 1970-")
    assert {"items_removed", "users_become_too_short", "users_without_test"} <= told.keys()
    assert told["users"] == len(ranks["user_id"]) == len(ranks["target_count"])


def test_another_protocol_is_another_checkpoint(tmp_path, make_world, write_release):
    """What was trained on all items is not taken for what was trained on warm ones."""
    release = write_release(tmp_path / "Toy", make_world(users=100))
    boards = [
        run_benchmark(release, ["popularity"], protocol=Protocol(warm=warm), out=tmp_path / "out", device="cpu")
        for warm in (0, 10)
    ]

    assert 2 == len(list((tmp_path / "out" / "models").glob("popularity-0-*.pt")))
    assert boards[0].rows[0]["items"] > boards[1].rows[0]["items"]


@pytest.mark.parametrize("wrong", [{"split": "temporl"}, {"warm": -1}, {"cuts": ("0.8", "0.9")}])
def test_a_protocol_that_cannot_be_is_refused(wrong):
    """An unknown split, a negative count and cuts of a split that has none."""
    with pytest.raises(RecipeError):
        Protocol(**wrong)

"""The shape of a release: each number against its definition, or a law that is known."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration.shape import comparison, core, gini, nearest_published, shape_of, tail_exponent
from tests.integration.drawing import core_by_hand

counts = st.lists(st.integers(0, 40), min_size=1, max_size=30).filter(any)
pairs = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=50)


def law(exponent, shortest=5, longest=400_000):
    """Lengths and their shares under a power law."""
    lengths = np.arange(shortest, longest)
    shares = lengths**-exponent
    return lengths, shares / shares.sum()


@given(counts=counts)
def test_gini_is_half_the_mean_difference_over_the_mean(counts):
    """As Gini defined it, over all pairs of items."""
    difference = np.mean([abs(one - other) for one in counts for other in counts])

    assert pytest.approx(difference / (2 * np.mean(counts))) == gini(np.array(counts))


def test_gini_goes_from_equal_shares_to_one_for_all():
    """0 where all items are as popular, near 1 where one has everything."""
    assert 0 == gini(np.array([7, 7, 7]))
    assert pytest.approx(0.999) == gini(np.array([0] * 999 + [5]))


@pytest.mark.parametrize("exponent", [2.5, 3.72, 6.0])
def test_the_tail_exponent_is_that_of_the_law_that_was_drawn_from(exponent):
    """Of 200,000 lengths the estimate is within four standard errors; shorter ones than the tail's change nothing."""
    lengths, shares = law(exponent)
    drawn = np.random.default_rng(3).choice(lengths, size=200_000, p=shares)
    logs = np.log(lengths)
    error = 1 / np.sqrt(200_000 * (shares @ logs**2 - (shares @ logs) ** 2))
    found = tail_exponent(drawn)

    assert pytest.approx(exponent, abs=4 * error) == found
    assert found == tail_exponent(np.append(drawn, [1, 2, 3, 4]))


@given(lengths=st.lists(st.integers(5, 60), min_size=2, max_size=40).filter(lambda found: sum(found) > 6 * len(found)))
@settings(max_examples=30)
def test_no_other_exponent_is_more_likely(lengths):
    """It is where the likelihood is highest, by the law's own sum (Clauset, Shalizi and Newman, eq. 3.5)."""
    n = np.arange(5, 400_000, dtype=np.float64)

    def likelihood(exponent):
        # The sum's rest as an integral: the tail of a flat law is long.
        past = (n[-1] + 0.5) ** (1 - exponent) / (exponent - 1)
        return -len(lengths) * np.log((n**-exponent).sum() + past) - exponent * np.log(lengths).sum()

    best = tail_exponent(np.array(lengths))

    assert likelihood(best) >= max(likelihood(best * 0.99 + 0.01), likelihood(best * 1.01)) - 1e-9


def test_where_there_is_no_tail_there_is_no_exponent():
    """Nobody with five, or everybody with exactly five."""
    assert [None, None] == [tail_exponent(np.array(lengths)) for lengths in ([1, 4], [5, 5, 5])]


def test_the_law_of_the_published_subset_has_its_mean_and_its_share():
    """An exponent of 3.72 from 5 gives the mean length of MicroLens-100K, and the share that stands beside it."""
    lengths, shares = law(3.72)
    told = {what: published for what, _, published in comparison("x", {"users": 100_000})}

    assert told["mean interactions a user"] == f"{lengths @ shares:.3f}" == "7.194"
    assert told["share of users with 13 or fewer"] == f"{shares[lengths <= 13].sum():.3f}"


@given(pairs=pairs, least=st.integers(1, 4), dice=st.randoms(use_true_random=False))
def test_the_core_is_that_of_dropping_one_at_a_time(pairs, least, dice):
    """The same largest part as the steps keep, by another way."""
    rows = [{"user_key": user, "video_id": item} for user, item in sorted(pairs)]
    users, items = (np.array([row[name] for row in rows]) for name in ("user_key", "video_id"))
    kept = core(users, items, least)

    assert core_by_hand(rows, least, least, dice) == [row for row, is_kept in zip(rows, kept, strict=True) if is_kept]


def test_a_table_is_measured(tmp_path):
    """Ids with holes, of a small table: every number counted by hand."""
    dice = random.Random(5)
    found = {(dice.choice([2, 5, 9, 11, 30]), dice.choice([3, 8, 100, 7, 6, 21, 50])) for _ in range(120)} | {(44, 1)}
    rows = [{"user_id": user, "item_id": item, "position": 1} for user, item in sorted(found)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "interactions.parquet")
    shape = shape_of(tmp_path / "interactions.parquet")

    named = [{"user_key": user, "video_id": item} for user, item in found]
    left = core_by_hand(named, 5, 5, dice)
    users, items = {user for user, _ in found}, {item for _, item in found}
    rare = [item for item in items if sum(item == other for _, other in found) < 5]
    assert (6, 8, len(found)) == tuple(shape[name] for name in ("users", "items", "interactions"))
    assert len(left) == shape["core_interactions"]
    assert 0 < len(left) < len(found)
    assert pytest.approx(len({row["user_key"] for row in left}) / len(users), abs=1e-6) == shape["users_in_core"]
    assert pytest.approx(len({row["video_id"] for row in left}) / len(items), abs=1e-6) == shape["items_in_core"]
    assert pytest.approx(len(found) / 6, abs=1e-6) == shape["mean_length"]
    assert pytest.approx(1 - len(found) / 48, abs=1e-6) == shape["sparsity"]
    assert pytest.approx(len(rare) / 8, abs=1e-6) == shape["items_under_5"]
    assert 1 == shape["share_to_13"]


@pytest.mark.parametrize(
    ("users", "name"),
    [(0, "MicroLens-50K"), (70_000, "MicroLens-50K"), (71_000, "MicroLens-100K"), (400_000, "MicroLens-1M")],
)
def test_the_nearest_published_is_so_by_ratio(users, name):
    """Between 50,000 and 100,000 the border is their geometric mean."""
    assert name == nearest_published(users)


def test_what_is_not_known_is_a_dash():
    """A release without pairs, beside a dataset of which little was told, is still a table."""
    rows = list(comparison("empty", {}))

    assert ("", "empty", "MicroLens-50K") == rows[0]
    assert {"-"} == {own for _, own, _ in rows[1:]}
    assert "359,708" in {published for *_, published in rows}

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import Ranks, coverage, hit_rate, mean_popularity, ndcg, ranks, standard_error, summarise

STANDINGS = st.tuples(st.integers(0, 60), st.integers(1, 60))


def rank_one(scores, target, seen=()):
    items = torch.tensor(list(seen), dtype=torch.long)
    return ranks(torch.tensor([scores]), torch.tensor([target]), torch.zeros_like(items), items)


@given(STANDINGS, st.integers(1, 30))
def test_hr_lies_in_0_to_1_and_ndcg_below_it(standing, k):
    """0 <= NDCG@K <= HR@K <= 1 for every standing, tied or not."""
    where = Ranks(*(torch.tensor([value]) for value in standing))
    hr, gain = float(hit_rate(where, k)), float(ndcg(where, k))

    assert 0 <= gain <= hr + 1e-12
    assert 0 <= hr <= 1


@given(STANDINGS, st.integers(1, 30))
def test_metrics_grow_with_k(standing, k):
    """A longer list never finds less."""
    where = Ranks(*(torch.tensor([value]) for value in standing))

    assert float(hit_rate(where, k)) <= float(hit_rate(where, k + 1))
    assert float(ndcg(where, k)) <= float(ndcg(where, k + 1)) + 1e-12


@given(st.lists(st.integers(0, 3), min_size=5, max_size=6), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_a_tied_metric_is_its_mean_over_all_orders_of_the_items(values, target, k):
    """HR and NDCG equal the average over every permutation with a stable sort, done by brute force."""
    scores = [9.0, *map(float, values)]  # item 0 is padding, its score must not matter
    hits, gains = [], []
    for order in permutations(range(1, len(scores))):
        place = sorted(order, key=lambda item: -scores[item]).index(target) + 1
        hits.append(place <= k)
        gains.append(1 / math.log2(1 + place) if place <= k else 0)

    where = rank_one(scores, target)

    assert pytest.approx(sum(hits) / len(hits)) == float(hit_rate(where, k))
    assert pytest.approx(sum(gains) / len(gains)) == float(ndcg(where, k))


def test_equal_scores_are_worth_a_guess():
    """A model that scores 100 items alike gets HR@10 of 0.1 and the middle rank."""
    where = rank_one([0.0] * 101, 7)

    assert pytest.approx(0.1) == float(hit_rate(where, 10))


def test_masked_items_and_padding_do_not_compete():
    """With the two better items seen, the target is first; padding's score is never looked at."""
    where = rank_one([99.0, 5.0, 4.0, 3.0, 2.0], 3, seen=[1, 2])

    assert (0, 1) == (int(where.above), int(where.tied))


@pytest.mark.parametrize("worst", [-math.inf, -1e30])
def test_a_target_scored_at_the_very_bottom_is_last_whatever_is_masked(worst):
    """Of the three items that were not seen it is the third, alone."""
    where = rank_one([0.0, 1.0, 2.0, 3.0, worst], 4, seen=[1])

    assert (2, 1) == (int(where.above), int(where.tied))


def test_a_score_that_is_not_a_number_ranks_last():
    """A model that diverged gets the worst rank of five items, not the best."""
    where = rank_one([0.0, 1.0, 2.0, 3.0, 4.0, math.nan], 5)

    assert (5, 1) == (int(where.above), int(where.tied))


def test_first_and_third_place_have_their_textbook_ndcg():
    """Rank 1 is worth 1, rank 3 is worth 1 / log2(4), rank 11 nothing at K = 10."""
    where = Ranks(torch.tensor([0, 2, 10]), torch.ones(3, dtype=torch.int32))

    assert pytest.approx([1.0, 0.5, 0.0]) == ndcg(where, 10).tolist()
    assert pytest.approx({"hr@10": 2 / 3, "ndcg@10": 0.5, "mrr@10": (1 + 1 / 3) / 3}) == summarise(where, (10,))


def test_the_standard_error_of_hits_is_binomial():
    """For hits and misses it is sqrt(p (1 - p) / users)."""
    hits = torch.tensor([1.0] * 30 + [0.0] * 70, dtype=torch.float64)

    assert pytest.approx(math.sqrt(0.3 * 0.7 / 100)) == standard_error(hits)


def test_coverage_and_popularity_equal_a_hand_count():
    """Two users are shown 1 2 and 2 3 of five items that were met 0 (padding), 4, 2, 1, 0, 0 times."""
    lists, frequency = torch.tensor([[1, 2], [2, 3]]), torch.tensor([0, 4, 2, 1, 0, 0])

    assert 3 / 5 == coverage(lists, 5)
    assert (4 + 2 + 2 + 1) / 4 == mean_popularity(lists, frequency)

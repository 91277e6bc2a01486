"""Who goes on: from records alone, whatever their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.settings import Settings
from benchmark.tuning.halving import rungs, standing
from benchmark.tuning.records import DIVERGED, Record

EPOCHS = 10


def record(*ndcg, is_over=False, trouble=""):
    curves = [{"loss": 1.0, "ndcg@10": one, "hr@10": one, "seconds": 1.0} for one in ndcg]
    return Record(curves, is_over or len(ndcg) == EPOCHS, trouble)


def stands(records, first=3, epochs=EPOCHS):
    return standing([Settings(epochs=epochs)] * len(records), records, first)


def states(told):
    return {place: one.state for place, one in told.outcomes.items()}


@pytest.mark.parametrize(
    ("first", "epochs", "expected"), [(3, 40, [3, 9, 27, 40]), (1, 9, [1, 3, 9]), (9, 9, [9]), (20, 9, [9])]
)
def test_rungs_are_three_times_as_far_each(first, epochs, expected):
    """The last one is the most epochs there are; a first one beyond that compares nothing before the end."""
    assert expected == rungs(first, epochs)


def test_everyone_begins():
    """With nothing known all are trained to the first rung."""
    told = stands([record()] * 4)

    assert dict.fromkeys(range(4), 3) == told.to_train
    assert {} == told.outcomes


def test_the_best_third_goes_on():
    """Of six the two with the best epoch so far, be it the last one or not; the others are stopped there."""
    told = stands([record(0, 0, ndcg / 10) for ndcg in (1, 5, 2, 3)] + [record(0.4, 0, 0), record(0, 0, 0)])

    assert {1: 9, 4: 9} == told.to_train
    assert {0: "stopped", 2: "stopped", 3: "stopped", 5: "stopped"} == states(told)


def test_of_equals_the_first_goes_on():
    """Which is no matter of who was done first."""
    assert {0: 9} == stands([record(0.1, 0.1, 0.1)] * 3).to_train


def test_one_with_a_third_above_it_is_out_while_others_are_at_work():
    """Whatever the others come to, it would not go on; the better ones wait, and the others are trained."""
    told = stands([record(0, 0, 0.3), record(0, 0, 0.2), record(), record(0.9)])

    assert {} == states(told)
    assert {2: 3, 3: 3} == told.to_train
    assert {1: "stopped"} == states(stands([record(0, 0, 0.3), record(0, 0, 0.2), record()]))


def test_what_came_to_its_own_end_is_compared_as_it_is():
    """Patience ran out in epoch 2: it takes a place of the third, is trained no further, and may be the best."""
    told = stands([record(0.5, 0.4, is_over=True), record(0, 0, 0.3), record(0, 0, 0.2)])

    assert {0: "finished", 1: "stopped", 2: "stopped"} == states(told)
    assert 0 == told.best
    assert {} == told.to_train


def test_trouble_costs_only_whom_it_has():
    """One that diverged is neither trained again nor chosen, however good it was; another takes its place."""
    told = stands([record(0.9, trouble=DIVERGED), record(0, 0, 0.1), record(0, 0, 0.2)])

    assert {0: DIVERGED, 1: "stopped"} == states(told)
    assert {2: 9} == told.to_train


def test_what_was_measured_beyond_a_level_does_not_count_there():
    """A longer record, of a search that let it go on, is read up to where this one compares."""
    told = stands([record(0, 0, 0.1, 0.9, trouble=DIVERGED), record(0, 0, 0.2), record(0, 0, 0.3)])

    assert "stopped" == told.outcomes[0].state
    assert (3, 3, 0.1) == (told.outcomes[0].epochs, told.outcomes[0].best_epoch, told.outcomes[0].ndcg)


def test_with_nothing_sound_nothing_is_best():
    """A search of which all diverged has no answer."""
    assert stands([record(trouble=DIVERGED)] * 2).best is None


curves = st.lists(st.integers(0, 5), min_size=EPOCHS, max_size=EPOCHS)
ends = st.sampled_from([("over", 4), ("over", EPOCHS), (DIVERGED, 0), (DIVERGED, 5), ("over", 1)])


@given(st.lists(st.tuples(curves, ends), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_order_of_work_changes_nothing(fates, chance):
    """Trained one epoch at a time, in any order, a search ends as one that trains everyone in turn."""

    def search(choose):
        records = [record() for _ in fates]
        while (told := stands(records, first=2)).to_train:
            place = choose(sorted(told.to_train))
            ndcg, (end, epochs) = fates[place]
            done = len(records[place].curves) + 1
            is_over, trouble = end == "over" and done >= epochs, end if end != "over" and done > epochs else ""
            records[place] = record(*ndcg[: done - bool(trouble)], is_over=is_over, trouble=trouble)
        return told

    expected, other = search(min), search(chance.choice)

    assert expected.outcomes == other.outcomes
    assert expected.best == other.best

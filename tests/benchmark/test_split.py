from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.split import leave_one_out
from microlens.errors import NotReadyError

SEQUENCES = st.lists(st.lists(st.integers(1, 30), max_size=20, unique=True), min_size=1, max_size=12)


def kept(split):
    """Each user's last items, validation and test included."""
    return torch.cat([split.test.history, split.test.target[:, None]], 1).tolist()


def test_the_last_item_is_the_test_and_the_one_before_it_validation(interactions):
    """Of items 4, 5, 6, 7 a model trains on 4 and 5, is validated on 6 and tested on 7."""
    split = leave_one_out(interactions([1] * 4, [4, 5, 6, 7], item_count=9), keep=6)

    assert [[0, 0, 4, 5]] == split.train.tolist()
    assert [[0, 0, 4, 5]] == split.validation.history.tolist()
    assert [6] == split.validation.target.tolist()
    assert [[0, 0, 4, 5, 6]] == split.test.history.tolist()
    assert [7] == split.test.target.tolist()


def test_only_the_last_items_are_kept_but_all_are_masked(interactions):
    """Of 20 items the last 13 are kept; the seven before them are still never recommended again."""
    split = leave_one_out(interactions([1] * 20, range(1, 21), item_count=25))

    assert list(range(8, 19)) == split.train[0].tolist()
    assert list(range(1, 19)) == split.validation.seen.of(torch.tensor([0]))[1].tolist()
    assert list(range(1, 20)) == split.test.seen.of(torch.tensor([0]))[1].tolist()


def test_what_is_masked_takes_half_the_bytes(interactions):
    """Of all that is kept of a split it is most: ids of items fit in 4 bytes."""
    split = leave_one_out(interactions([1] * 4, [4, 5, 6, 7], item_count=9))

    assert {torch.int32} == {one.seen.values.dtype for one in (split.validation, split.test)}


def test_a_target_that_was_met_before_still_competes(interactions):
    """Of 4, 5, 6, 4 the test is a 4: what is not recommended again are 5 and 6, or the question had no answer."""
    split = leave_one_out(interactions([1] * 4, [4, 5, 6, 4], item_count=9))

    assert [5, 6] == split.test.seen.of(torch.tensor([0]))[1].tolist()
    assert [2] == split.test.seen.counts(torch.tensor([0])).tolist()


def test_training_pairs_are_all_that_comes_before_validation(interactions):
    """Beyond the steps that are kept, too: of five and four items three and two."""
    split = leave_one_out(interactions([1] * 5 + [2] * 4, [1, 2, 3, 4, 5, 9, 8, 7, 6]), keep=3)

    assert [[0, 1], [0, 2], [0, 3], [1, 9], [1, 8]] == split.pairs.tolist()
    assert [[3], [8]] == split.train.tolist()


def test_users_too_short_to_split_are_counted_and_used_for_nothing(interactions):
    """A user of two interactions is skipped: even their counts stay out of training."""
    split = leave_one_out(interactions([1, 1, 2, 2, 2], [7, 8, 1, 2, 3], item_count=9))

    assert 1 == split.user_count
    assert 1 == split.skipped_user_count
    assert [1] == split.frequency.nonzero().flatten().tolist()


def test_a_release_of_short_users_alone_cannot_be_split(interactions):
    """Nobody with three interactions is an error that says so, not an empty table."""
    with pytest.raises(NotReadyError, match="none of the 2 users"):
        leave_one_out(interactions([1, 1, 2], [1, 2, 3]))


def test_rows_out_of_order_are_put_in_order(interactions):
    """The position in the sequence decides, not the row."""
    world = interactions([1, 1, 1, 1], [4, 3, 2, 1])
    world = replace(world, position=np.array([4, 2, 3, 1]))

    assert [[1, 3, 2, 4]] == kept(leave_one_out(world, keep=4))


@given(SEQUENCES)
@settings(deadline=None)
def test_every_user_of_three_items_or_more_is_asked_about_once(sequences):
    """Split users and skipped users add up, and each row ends with its user's last items."""
    from benchmark.data.release import Interactions

    user = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences]) + 1
    item = np.array([item for sequence in sequences for item in sequence], dtype=np.int64)
    world = Interactions("any", np.arange(1, 31), user, item, np.arange(len(item)))
    long = [sequence for sequence in sequences if len(sequence) >= 3]
    if not long:
        return
    split = leave_one_out(world, keep=5)

    assert [([0] * 5 + sequence)[-5:] for sequence in long] == kept(split)
    assert sum(1 for sequence in sequences if sequence) == split.user_count + split.skipped_user_count
    for row, sequence in enumerate(long):
        assert sorted(sequence[:-1]) == split.test.seen.of(torch.tensor([row]))[1].tolist()


def test_drawn_questions_are_some_of_all(make_world):
    """Each is what it was: user, history, target and what was seen; asked for more than there are, all of them."""
    question = leave_one_out(make_world(users=50)).test
    some, others = question.drawn(20, seed=1), question.drawn(20, seed=2)

    assert 20 == len(some.users) == len(set(some.users.tolist()))
    assert some.users.tolist() != others.users.tolist()
    assert question.users.tolist() == question.drawn(99, seed=1).users.tolist()
    for place, user in enumerate(some.users.tolist()):
        assert question.history[user].tolist() == some.history[place].tolist()
        assert question.target[user] == some.target[place]
        seen = [one.seen.of(torch.tensor([row]))[1].tolist() for one, row in ((question, user), (some, place))]
        assert seen[0] == seen[1]

import torch

from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate, evaluate_and_list
from benchmark.metrics import coverage, mean_popularity
from benchmark.models.popularity import Popularity


class Fixed:
    """Scores every item by a table of its own, whoever asks."""

    def __init__(self, table):
        self.table = table
        self.largest = 0

    def scores(self, users, history):
        self.largest = max(self.largest, len(users))
        return self.table[history[:, -1]]


def test_chunks_change_no_rank(make_world):
    """One user at a time or all at once: every target stands where it stood."""
    split = leave_one_out(make_world(users=100))
    model = Fixed(torch.randn(201, 201))

    whole = evaluate(model, split.test)
    pieces = evaluate(model, split.test, chunk_scores=1)

    assert torch.equal(whole.above, pieces.above)
    assert torch.equal(whole.tied, pieces.tied)


def test_no_more_scores_exist_at_once_than_allowed(make_world):
    """With room for 1,000 scores of 201 items, four users are asked at a time."""
    split = leave_one_out(make_world(users=100))
    model = Fixed(torch.zeros(201, 201))

    evaluate(model, split.test, chunk_scores=1_000)

    assert 4 == model.largest


def test_ranks_equal_a_loop_over_users(make_world):
    """Sorting each user's unseen items by hand finds the same places."""
    world = make_world(users=60)
    split = leave_one_out(world)
    counts = split.frequency.tolist()
    found = evaluate(Popularity(split.frequency), split.test)

    for row, user in enumerate(range(1, 61)):
        *seen, target = world.item[world.user == user].tolist()
        rivals = [counts[item] for item in range(1, 201) if item not in seen]
        assert sum(count > counts[target] for count in rivals) == int(found.above[row])
        assert rivals.count(counts[target]) == int(found.tied[row])


def test_nobody_is_shown_what_they_have_met(interactions):
    """Of four items, of which a user has met all but the target and one, two places are filled and two are empty."""
    split = leave_one_out(interactions([1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3], item_count=4))
    table = torch.arange(5.0).repeat(5, 1)

    _, lists = evaluate_and_list(Fixed(table), split.test, 10)

    assert [[4, 3, 0, 0]] * 2 == lists.tolist()
    assert 0.5 == coverage(lists, 4)
    assert 5.0 == mean_popularity(lists, torch.tensor([9, 9, 9, 4, 6]))

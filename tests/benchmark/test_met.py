import numpy as np
import torch

from benchmark.data.met import Met

PAIRS = [(0, 3), (2, 1), (0, 1), (2, 4), (0, 3), (3, 5)]  # user 1 met nothing, user 0 met item 3 twice


def small():
    return Met.of_pairs(torch.tensor(PAIRS), 4, 5)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_what_was_met_twice_stands_there_once():
    """Pairs come sorted by user, then by item."""
    met = small()

    assert [(0, 1), (0, 3), (2, 1), (2, 4), (3, 5)] == list(zip(met.user.tolist(), met.item.tolist(), strict=True))
    assert [2, 0, 2, 1] == met.items.counts(torch.arange(4)).tolist()


def test_what_several_users_met_is_listed_in_their_order():
    """The first of each pair is the place among those asked; who met nothing adds nothing."""
    place, item = small().items.of(torch.tensor([2, 1, 0, 2]))

    assert [0, 0, 2, 2, 3, 3] == place.tolist()
    assert [1, 4, 1, 3, 1, 4] == item.tolist()


def test_candidates_that_were_met_are_found():
    """A row a user, a column a candidate, equal to looking each of them up."""
    users, items = [3, 0, 1, 0], [4, 5, 3]
    expected = [[(user, item) in PAIRS for item in items] for user in users]

    assert expected == small().among(torch.tensor(users), torch.tensor(items)).tolist()


def test_the_pairs_are_found_by_item_as_well():
    """An item's users are those who met it."""
    met = small()
    order, bounds = met.by_item
    found = [sorted(met.user[order[bounds[i] : bounds[i + 1]]].tolist()) for i in range(6)]

    assert [[], [0, 2], [], [0], [2], [3]] == found


def test_drawn_items_are_unmet_ones_each_as_often():
    """Of random users with one to all but one of 12 items, no draw was met, and none comes more often than another."""
    rng = np.random.default_rng(0)
    pairs = [(u, 1 + i) for u in range(8) for i in rng.permutation(12)[: 1 + u * 10 // 7]]
    met = Met.of_pairs(torch.tensor(pairs), 8, 12)

    drawn = met.unmet(torch.arange(8), 24_000, draws())

    for user in range(8):
        unmet = sorted(set(range(1, 13)) - {item for u, item in pairs if u == user})
        found, counts = torch.unique(drawn[user], return_counts=True)
        assert unmet == found.tolist()
        assert np.allclose(counts / 24_000, 1 / len(unmet), atol=0.02)


def test_the_same_seed_draws_the_same():
    """Draws come from the generator alone."""
    users = torch.tensor([0, 2, 3])
    one, same, other = (small().unmet(users, 20, draws(seed)) for seed in (0, 0, 1))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)

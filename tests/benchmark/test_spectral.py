"""Vectors told from which items stand near each other, before anything is trained."""

import numpy as np
import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.models.items import ItemTable
from benchmark.models.spectral import FADING, SMOOTHING, spectral_directions
from benchmark.settings import Settings
from microlens.errors import RecipeError

GROUPS, EACH = 4, 25


def grouped_sequences(seed=0, *, strays=0.1):
    """600 users of 8 steps, who stay in one of four groups of items but for some strays; items take turns."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, GROUPS, 600)[:, None]
    group = np.where(rng.random((600, 8)) < strays, rng.integers(0, GROUPS, (600, 8)), group)
    return torch.from_numpy(1 + group + GROUPS * rng.integers(0, EACH, (600, 8)))


def reference(sequences, item_count):
    """The shares of all pairs of items, dense: (V, V)."""
    counts = np.zeros((item_count + 1, item_count + 1))
    for row in sequences.tolist():
        for i, one in enumerate(row):
            for distance, other in enumerate(row[i + 1 :], 1):
                if one and other and one != other:
                    counts[one, other] += FADING ** (distance - 1)
                    counts[other, one] += FADING ** (distance - 1)
    total = counts.sum(0)
    root = np.sqrt(total + SMOOTHING * total[total > 0].mean())
    return counts / root[:, None] / root


def test_directions_are_the_leading_eigenvectors_of_a_dense_reference():
    """All angles between items are compared: eigenvectors themselves may have another sign."""
    sequences = torch.randint(0, 13, (40, 6), generator=torch.Generator().manual_seed(0))
    values, vectors = np.linalg.eigh(reference(sequences, 12))
    largest = np.argsort(-np.abs(values))[:3]
    expected = vectors[:, largest] * np.sqrt(np.abs(values[largest]))
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)

    found = spectral_directions(sequences, 12, 3).numpy()

    np.testing.assert_allclose((found @ found.T)[1:, 1:], (expected @ expected.T)[1:, 1:], atol=1e-4)


@pytest.mark.parametrize("couples", [0, 8, 40])
def test_items_that_the_same_users_meet_lie_together(couples):
    """However many pairs of items there are that one user each met, and nobody else."""
    grouped, count = grouped_sequences(), GROUPS * EACH
    apart = torch.zeros(couples, 8, dtype=torch.long)
    apart[:, -2:] = 1 + count + torch.arange(2 * couples).view(-1, 2)
    directions = spectral_directions(torch.cat([grouped, apart]), count + 2 * couples, 16)[1 : count + 1]
    alike = directions @ directions.T
    group = torch.arange(count) % GROUPS
    is_same = group[:, None] == group

    assert alike[is_same].mean() > alike[~is_same].mean() + 0.5


def test_a_table_elsewhere_takes_vectors_made_on_the_cpu():
    """Torch's device without memory refuses to be mixed with another, as a GPU does."""
    with torch.device("meta"):
        table = ItemTable(6, 4)
    table.start_from(torch.ones(7, 4, device="cpu"))

    assert "meta" == table.embedding.weight.device.type


def test_an_item_beside_nothing_keeps_the_vector_it_was_drawn():
    """Items 5 and 6 are alone with themselves, or not met at all."""
    sequences = torch.tensor([[0, 1, 2, 3], [2, 3, 1, 4], [0, 0, 5, 5]])

    directions = spectral_directions(sequences, 6, 2)

    lengths = directions.norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([0.0, 1, 1, 1, 1, 0, 0]))


def test_a_catalogue_smaller_than_the_width_leaves_numbers_at_zero():
    directions = spectral_directions(torch.tensor([[1, 2, 3], [3, 2, 1]]), 3, 8)

    assert directions.shape == (4, 8)
    assert directions[:, 4:].eq(0).all()


def test_nobody_with_two_items_gives_no_directions():
    assert spectral_directions(torch.tensor([[0, 1], [0, 2]]), 2, 4).eq(0).all()


@pytest.mark.parametrize("name", ["sasrec", "gru4rec", "bert4rec", "sasrec_id_pop"])
def test_models_of_sequences_start_from_them(name, make_world):
    """The angles between items are compared: two rounds of iteration begin at random."""
    split = leave_one_out(make_world(users=600))
    model = MODELS[name].build(split, Settings(start="spectral", start_length=0.5, width=8), None)

    weight = model.items.embedding.weight[1:].detach()
    expected = spectral_directions(split.train, split.item_count, 8)[1:]

    is_told = expected.any(1)
    assert is_told.float().mean() > 0.5
    torch.testing.assert_close(weight[is_told].norm(dim=1), torch.full((int(is_told.sum()),), 0.5))
    angles, expected_angles = (one[is_told] @ one[is_told].T for one in (weight / 0.5, expected))
    torch.testing.assert_close(angles, expected_angles, atol=0.02, rtol=0)


def test_other_starts_are_refused():
    with pytest.raises(RecipeError, match="'start' is 'spektral', but must be one of random, spectral"):
        Settings(start="spektral")

import numpy as np
import pytest
import torch
from torch.nn.functional import pad

from benchmark.losses import (
    Candidates,
    bce,
    bpr,
    full_softmax,
    gbce_power,
    in_batch_softmax,
    log_frequency,
    log_inclusion,
    predicted,
    sampled_softmax,
)
from benchmark.models.items import ItemTable
from benchmark.settings import Settings
from benchmark.tasks.item_loss import ItemLoss

BATCH = [[0, 3, 5, 2], [4, 3, 1, 7], [0, 0, 0, 6]]  # the last user has nothing to predict
TARGETS = [(0, 5), (0, 2), (1, 3), (1, 1), (1, 7)]  # (user, target), in row order


def candidates_of(sequences):
    sequences = torch.tensor(sequences)
    return Candidates.of_batch(sequences, pad(predicted(sequences), (1, 0)))


def reference_in_batch(scores, log_q):
    """Loop over the predictions of BATCH; `scores` (N, V) over all items."""
    losses = []
    for row, (user, target) in enumerate(TARGETS):
        rivals = {item for sequence in BATCH for item in sequence if item} - set(BATCH[user]) | {target}
        corrected = {item: scores[row, item] - log_q[item] for item in rivals}
        losses.append(np.log(np.sum(np.exp(list(corrected.values())))) - corrected[target])
    return np.mean(losses)


def test_in_batch_softmax_equals_its_numpy_reference():
    """Distinct items of the batch compete, the user's own others and padding do not, log q is taken off."""
    rng = np.random.default_rng(0)
    scores, log_q = rng.normal(size=(len(TARGETS), 8)), np.log(rng.uniform(0.1, 1, 8))
    candidates = candidates_of(BATCH)

    loss = in_batch_softmax(
        torch.tensor(scores)[:, candidates.items],
        candidates.column,
        candidates.excluded,
        torch.tensor(log_q)[candidates.items],
    )

    assert pytest.approx(reference_in_batch(scores, log_q)) == float(loss)


def test_each_item_of_a_batch_is_a_candidate_once():
    """Item 3, which two users met, is listed once; padding is not listed."""
    candidates = candidates_of(BATCH)

    assert [1, 2, 3, 4, 5, 6, 7] == candidates.items.tolist()
    assert [target for _, target in TARGETS] == candidates.items[candidates.column].tolist()


def test_a_batch_without_padding_has_the_same_form():
    """Nothing is cut off where item 0 does not occur."""
    candidates = candidates_of([[1, 2], [2, 1]])

    assert [1, 2] == candidates.items.tolist()
    assert [[True, False], [False, True]] == candidates.excluded.tolist()


def test_a_step_without_input_or_target_predicts_nothing():
    """The first real item has no input before it, so it is never a target."""
    assert [[False, True, True], [True, True, True], [False] * 3] == predicted(torch.tensor(BATCH)).tolist()


def test_full_softmax_equals_its_numpy_reference():
    """Cross-entropy over items 1 ... 7, of which the targets are ids."""
    rng = np.random.default_rng(0)
    states, vectors, bias = rng.normal(size=(5, 3)), rng.normal(size=(7, 3)), rng.normal(size=7)
    target = np.array([5, 2, 3, 1, 7])
    logits = states @ vectors.T + bias
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(5), target - 1])

    assert pytest.approx(expected, rel=1e-6) == float(
        full_softmax(*floats(states, vectors, bias), torch.tensor(target))
    )


@pytest.mark.parametrize("has_bias", [False, True])
def test_full_softmax_has_the_gradients_of_whole_matrices(has_bias):
    """More states than are scored at once."""
    states, vectors = torch.randn(300, 4, requires_grad=True), torch.randn(30_000, 4, requires_grad=True)
    bias = torch.randn(30_000, requires_grad=True) if has_bias else None
    target = torch.randint(1, 30_001, (300,))
    learned = [states, vectors] if bias is None else [states, vectors, bias]
    logits = states @ vectors.T if bias is None else states @ vectors.T + bias

    expected = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, target - 1), learned)
    found = torch.autograd.grad(full_softmax(states, vectors, bias, target), learned)

    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_bpr_equals_its_numpy_reference():
    """Minus the log of the sigmoid of each difference, averaged."""
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(size=5), rng.normal(size=(5, 3))
    expected = np.mean(-np.log(1 / (1 + np.exp(-(positive[:, None] - negative)))))

    assert pytest.approx(expected) == float(bpr(torch.tensor(positive), torch.tensor(negative)))


def test_log_inclusion_is_the_chance_seen_in_drawn_batches():
    """Drawing half of the users many times finds an item of f users in 1 - 0.5^f of the batches."""
    rng = np.random.default_rng(0)
    users, draws = 1_000, 4_000
    batches = rng.random((draws, users)).argsort(1)[:, : users // 2]
    frequency = torch.tensor([0, 1, 2, 5])
    found = [np.mean((batches < count).any(1)) for count in (1, 2, 5)]

    assert pytest.approx(found, abs=0.03) == log_inclusion(frequency, 0.5)[1:].exp().tolist()


def test_an_item_that_one_user_met_again_and_again_is_in_a_batch_with_that_user():
    """Batches are drawn of users: what counts for the chance is whose batches have it, and not how often."""
    sequences = torch.tensor([[5, 5, 5, 5], [0, 0, 1, 2], [0, 0, 2, 3]])
    settings = {name: Settings(log_q=name) for name in ("inclusion", "frequency")}
    found = {name: ItemLoss(ItemTable(5, 4), sequences, 5, one).frequency for name, one in settings.items()}

    assert [0, 1, 2, 1, 0, 1] == found["inclusion"].tolist()
    assert [0, 1, 2, 1, 0, 4] == found["frequency"].tolist()


def test_both_corrections_agree_on_rare_items():
    """With small batches they differ by a constant, and a constant cancels in a softmax."""
    frequency = torch.tensor([0, 1, 2, 4, 8])

    difference = log_inclusion(frequency, 1e-5) - log_frequency(frequency)

    assert torch.allclose(difference[1:], difference[1].expand(4), atol=1e-3)


def test_a_batch_of_everyone_needs_no_correction():
    """Every item is then a candidate for certain: the log of one."""
    assert [0.0, 0.0] == log_inclusion(torch.tensor([1, 9]), 1.0).tolist()


def drawn(seed=0):
    """Logits of five targets, of seven items drawn against each, and which of these are left out."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=5), rng.normal(size=(5, 7)), rng.random((5, 7)) < 0.3


def floats(*arrays):
    return [torch.tensor(array, dtype=torch.float32) for array in arrays]


def tensors(*arrays):
    return [torch.tensor(array) for array in arrays]


def test_sampled_softmax_equals_its_numpy_reference():
    """Minus the log of the target's share among itself and the drawn items that count."""
    positive, negative, excluded = drawn()
    total = np.exp(positive) + (np.exp(negative) * ~excluded).sum(1)

    loss = sampled_softmax(*tensors(positive, negative, excluded))

    assert pytest.approx(np.mean(np.log(total) - positive)) == float(loss)


def test_sampled_softmax_of_every_other_item_is_the_full_one():
    """With all items drawn and the target among them left out, nothing is sampled any more."""
    states, vectors, target = torch.randn(5, 3), torch.randn(7, 3), torch.tensor([5, 2, 3, 1, 7])
    logits, itself = states @ vectors.T, torch.arange(1, 8) == target[:, None]

    loss = sampled_softmax(logits[itself], logits, itself)

    assert pytest.approx(float(full_softmax(states, vectors, None, target))) == float(loss)


@pytest.mark.parametrize("power", [1.0, 0.2])
def test_bce_equals_its_numpy_reference(power):
    """Minus the log of the target's probability to a power, and of each drawn item's complement, over all of them."""
    positive, negative, excluded = drawn()
    probability, rival = 1 / (1 + np.exp(-positive)), 1 / (1 + np.exp(-negative))
    terms = np.log(probability**power) + (np.log(1 - rival) * ~excluded).sum(1)

    loss = bce(*tensors(positive, negative, excluded), power)

    assert pytest.approx(np.mean(-terms / 8)) == float(loss)


def test_gbce_power_is_one_without_calibration_and_the_share_drawn_with_all_of_it():
    """Both ends of the paper's formula: t = 0 is plain BCE, and t = 1 the share of negatives drawn."""
    assert 1.0 == gbce_power(256, 12_101, 0.0)
    assert pytest.approx(256 / 12_100) == gbce_power(256, 12_101, 1.0)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_of_a_catalogue_of_one_item_is_plain_bce(calibration):
    """There is no other item of which a share could be drawn."""
    assert 1.0 == gbce_power(256, 1, calibration)


def test_calibrated_probabilities_are_those_of_a_softmax():
    """One state, four items: least gBCE of t = 1 gives each the probability that it is the target."""
    share = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    power = gbce_power(1, 4, 1.0)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def expected_loss():
        """One other item is drawn uniformly against each target."""
        optimizer.zero_grad()
        none = torch.zeros(1, 1, dtype=torch.bool)
        pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
        loss = sum(share[i] / 3 * bce(logits[i : i + 1], logits[None, j : j + 1], none, power) for i, j in pairs)
        loss.backward()
        return loss

    optimizer.step(expected_loss)

    assert torch.allclose(share, logits.detach().sigmoid(), atol=1e-4)

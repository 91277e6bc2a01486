import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate
from benchmark.metrics import summarise
from benchmark.models import MODELS, settings_of
from benchmark.models.items import ItemTable
from benchmark.models.popularity import Popularity
from benchmark.models.sasrec import SASRec
from benchmark.models.sequence import SequenceModel
from benchmark.presets import load_preset
from benchmark.settings import Settings
from benchmark.tasks.masked_item import MaskedItem
from benchmark.tasks.next_item import NextItem
from benchmark.tasks.pairs import Pairs
from benchmark.train import Trainer, fit
from microlens.errors import RecipeError
from tests.benchmark.references import torchs_block


@pytest.fixture(scope="module")
def toy(make_world):
    return leave_one_out(make_world(users=1_200))


def small_sasrec(*, norm_first=True, dropout=0.0):
    return SequenceModel(ItemTable(20, 8), SASRec(8, steps=6, dropout=dropout, norm_first=norm_first)).eval()


@pytest.mark.parametrize("norm_first", [True, False])
def test_sasrec_never_looks_ahead(norm_first):
    """Changing the last item leaves every earlier state as it was, and changes the last."""
    model = small_sasrec(norm_first=norm_first)
    history = torch.tensor([[0, 3, 5, 2, 9, 11]])
    changed = torch.tensor([[0, 3, 5, 2, 9, 12]])

    before, after = model(history), model(changed)

    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


@pytest.mark.parametrize("norm_first", [True, False])
def test_padding_changes_nothing(norm_first):
    """Two zeros more on the left give the same states for the real items."""
    model = small_sasrec(norm_first=norm_first)

    short, padded = model(torch.tensor([[3, 5, 2, 9]])), model(torch.tensor([[0, 0, 3, 5, 2, 9]]))

    assert torch.allclose(short, padded[:, 2:], atol=1e-6)


def test_a_history_of_padding_alone_has_finite_scores():
    """A row of zeros sees only itself, so that no softmax is over nothing."""
    scores = small_sasrec().scores(torch.zeros(1), torch.zeros(1, 6, dtype=torch.long))

    assert bool(scores.isfinite().all())


def test_sasrec_knows_the_order_of_items():
    """Swapping two earlier items changes the last state: positions are used once they are learned."""
    model = small_sasrec()
    torch.nn.init.normal_(model.encoder.position)

    one, other = model(torch.tensor([[3, 5, 2]])), model(torch.tensor([[5, 3, 2]]))

    assert not torch.allclose(one[:, -1], other[:, -1])


def test_one_block_equals_torch_own_transformer_layer():
    """With the same weights, a pre-LN and a post-LN block equal torch.nn.TransformerEncoderLayer."""
    for norm_first in (True, False):
        block = SASRec(8, steps=6, blocks=1, dropout=0.0, norm_first=norm_first).blocks[0].eval()
        reference = torchs_block(block, 8, norm_first=norm_first)
        x, past = torch.randn(2, 6, 8), torch.ones(6, 6, dtype=torch.bool).tril()

        expected = reference(x, src_mask=~past)

        assert torch.allclose(expected, block(x, past.expand(2, 1, 6, 6)), atol=1e-5)


def test_scores_are_the_dot_product_of_state_and_item():
    """Without a prior, a score is nothing but state · item."""
    model = small_sasrec()
    history = torch.tensor([[0, 0, 0, 5, 2, 9]])

    expected = model(history)[0, -1] @ model.items.embedding.weight.T

    assert torch.allclose(expected, model.scores(torch.zeros(1), history)[0])


def test_an_untrained_prior_ranks_like_popularity():
    """States that say nothing leave the log frequency to decide."""
    log_prior = torch.randn(21)
    items = ItemTable(20, 8, log_prior=log_prior)

    assert torch.equal(log_prior.expand(3, -1), items.scores(torch.zeros(3, 8)))


def test_a_width_that_heads_cannot_share_is_refused():
    """Ten numbers do not divide among three heads; the message has both."""
    with pytest.raises(RecipeError, match=r"width=10 .* heads=3"):
        SASRec(10, steps=6, heads=3)


def test_popularity_equals_a_hand_count(interactions):
    """Validation and test items do not count: of 1 1 2, 1 2 3 and so on only the training part does."""
    split = leave_one_out(interactions([1, 1, 1, 1, 2, 2, 2, 3, 3, 3], [1, 2, 3, 4, 1, 5, 6, 2, 4, 5], item_count=6))

    scores = Popularity(split.frequency).scores(split.test.users, split.test.history)

    assert [[0, 2, 2, 0, 0, 0, 0]] * 3 == scores.tolist()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_scores_every_item_for_every_user(name, interactions, make_side):
    """Scores are (users, items and padding), and every model has its sentence."""
    split = leave_one_out(interactions([1, 1, 1, 2, 2, 2], [1, 2, 3, 4, 5, 6], item_count=6))

    scores = MODELS[name].build(split, Settings(width=8), make_side(6)).scores(split.test.users, split.test.history)

    assert (2, 7) == scores.shape
    assert MODELS[name].description


@pytest.mark.parametrize("preset", ["default", "tuned", "paper", "official"])
@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.task is not None])
def test_every_model_has_a_loss_in_every_preset(preset, name, interactions, make_side):
    """No preset asks a model for a loss that it does not take: a first batch has one, and more than nothing."""
    split = leave_one_out(interactions([1] * 5 + [2] * 5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 4], item_count=20))
    settings = load_preset(preset, name, {"width": 8}, own=MODELS[name].settings)
    task = MODELS[name].task(MODELS[name].build(split, settings, make_side(20)), split, settings)

    loss = float(task.loss(next(task.batches(torch.Generator().manual_seed(0)))).detach())

    assert 0 < loss < float("inf")


def two_futures(make_world):
    """Two worlds alike but for everyone's last two items: what validation and test ask for."""
    world = make_world(users=60)
    is_held_out = np.append(world.user[2:] != world.user[:-2], [True, True])
    others = np.where(is_held_out, world.item % world.item_count + 1, world.item)
    return [leave_one_out(one) for one in (world, replace(world, item=others))]


@pytest.mark.parametrize("name", MODELS)
def test_no_model_learns_from_what_is_held_out(name, make_world, make_side):
    """Other items in the places of validation and test leave every weight, and every score of validation, as it was.

    After an epoch of training; where vectors can be told from sequences before it, they are.
    """
    quick = {"width": 8, "blocks": 1, "batch_size": 32, "neighbours": 200}
    quick |= {"start": "spectral"} if MODELS[name].task in {NextItem, MaskedItem} else {}
    chosen = settings_of(name, "default", quick)
    learned, scores = [], []
    for split in two_futures(make_world):
        torch.manual_seed(0)
        model = MODELS[name].build(split, chosen, make_side(split.item_count))
        if MODELS[name].task is not None:
            task = MODELS[name].task(model, split, chosen)
            Trainer(model, task, split.validation, chosen, seed=0).run_epoch(1)
            learned.append(model.eval().state_dict())
        scores.append(model.scores(split.validation.users, split.validation.history))

    assert torch.equal(*scores)
    for one, other in itertools.pairwise(learned):
        assert [] == [weight for weight in one if not torch.equal(one[weight], other[weight])]


def test_worlds_of_two_futures_differ_in_what_is_asked_alone(make_world):
    """Training and the histories of validation are the same; every answer is another."""
    one, other = two_futures(make_world)

    assert torch.equal(one.train, other.train)
    assert torch.equal(one.validation.history, other.validation.history)
    assert bool((one.validation.target != other.validation.target).all())
    assert bool((one.test.target != other.test.target).all())


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.task is not None])
def test_gradients_reach_every_parameter(name, make_world, make_side):
    """One batch moves all there is to move."""
    split = leave_one_out(make_world(users=300))
    settings = load_preset("default", name, {"width": 8, "batch_size": 300}, own=MODELS[name].settings)
    model = MODELS[name].build(split, settings, make_side(split.item_count)).train()
    task = MODELS[name].task(model, split, settings)

    sum(task.loss(batch) for batch in task.batches(torch.Generator().manual_seed(0))).backward()

    still = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert still == []


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.task not in {None, Pairs}])
def test_every_model_of_sequences_finds_tastes(name, toy, make_side):
    """Where users have tastes, it hits more often than popularity after a hundred quick steps."""
    quick = {"width": 32, "blocks": 1, "epochs": 10, "batch_size": 128, "learning_rate": 5e-3, "threads": 1}
    settings = load_preset("default", name, quick, own=MODELS[name].settings)
    model = MODELS[name].build(toy, settings, make_side(toy.item_count))
    fit(model, MODELS[name].task(model, toy, settings), toy.validation, settings, seed=0, progress=lambda *_: None)
    floor = summarise(evaluate(Popularity(toy.frequency), toy.test))["hr@10"]

    assert floor < summarise(evaluate(model, toy.test))["hr@10"]

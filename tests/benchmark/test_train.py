import math
from dataclasses import replace

import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate
from benchmark.metrics import summarise
from benchmark.models import MODELS
from benchmark.settings import Settings
from benchmark.tasks.next_item import NextItem
from benchmark.train import Trainer, fit
from microlens.errors import MicrolensError

QUICK = Settings(width=16, blocks=1, epochs=3, batch_size=64)


@pytest.fixture
def split(make_world):
    return leave_one_out(make_world(users=300))


def train(split, settings, progress=lambda facts: None):
    torch.manual_seed(0)
    model = MODELS["sasrec"].build(split, settings, None)
    task = NextItem(model, split, settings)

    def hear(event, facts):
        if event == "epoch":
            progress(facts)

    return model, fit(model, task, split.validation, settings, seed=0, progress=hear)


def trainer_of(split):
    model = MODELS["sasrec"].build(split, QUICK, None)
    return Trainer(model, NextItem(model, split, QUICK), split.validation, QUICK, seed=0)


@pytest.mark.parametrize("loss", ["in_batch", "full"])
@pytest.mark.parametrize("item_bias", [True, False])
def test_the_padding_row_is_zero_after_training(split, loss, item_bias):
    """No loss moves the vector or the offset of item 0, and no decay does."""
    model, _ = train(split, replace(QUICK, loss=loss, item_bias=item_bias))

    assert not model.items.embedding.weight[0].any()
    assert model.items.embedding.weight[1:].any()
    assert not item_bias or not model.items.offset.weight[0].any()


@pytest.mark.parametrize("choice", [{"loss": "full"}, {"log_q": "inclusion"}, {"log_q": "frequency"}])
def test_every_loss_goes_down(split, choice):
    """The third epoch's loss is below the first's."""
    losses = []
    train(split, replace(QUICK, **choice), lambda facts: losses.append(facts["loss"]))

    assert losses[-1] < losses[0]


def test_the_best_state_is_restored(split):
    """After training the model scores on validation what its best epoch scored."""
    seen = []
    model, fitted = train(
        split, replace(QUICK, epochs=8, learning_rate=0.03), lambda facts: seen.append(facts["ndcg@10"])
    )

    restored = summarise(evaluate(model, split.validation))["ndcg@10"]

    assert fitted.ndcg == restored
    assert fitted.best_epoch == 0 or restored == max(seen) == seen[fitted.best_epoch - 1]


@pytest.mark.parametrize("row_wise", ["never", "always"])
def test_what_is_kept_is_the_mean_of_the_last_epochs(split, row_wise):
    """Trained epoch by epoch without averaging, the weights come to the same mean; and training is not led astray."""
    settings = replace(QUICK, row_wise=row_wise, learning_rate=1e-3, loss="sampled", negatives=8)
    torch.manual_seed(0)
    model = MODELS["sasrec"].build(split, settings, None)
    trainer = Trainer(model, NextItem(model, split, settings), split.validation, settings, seed=0)
    states = []
    for epoch in (1, 2, 3):
        trainer.run_epoch(epoch)
        states.append({name: values.clone() for name, values in model.state_dict().items()})
    means = [
        {name: torch.stack([one[name] for one in last]).mean(0) for name in model.state_dict()}
        for last in (states[:1], states[:2], states[1:])
    ]

    averaged, fitted = train(split, replace(settings, average_epochs=2))

    assert fitted.best_epoch > 0
    for name, values in averaged.state_dict().items():
        torch.testing.assert_close(values, means[fitted.best_epoch - 1][name], rtol=1e-4, atol=1e-5)


def test_training_stops_when_patience_is_out(split):
    """With a step so small that nothing improves for long, not all 50 epochs are run."""
    _, fitted = train(split, replace(QUICK, epochs=50, patience=1, learning_rate=1e-9))

    assert fitted.epochs == fitted.best_epoch + 1 < 50


def test_two_runs_of_one_seed_are_equal(split):
    """Weights after training are the same to the last bit."""
    one, other = (train(split, QUICK)[0].state_dict() for _ in range(2))

    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_diverged_run_says_what_to_change(split):
    """A loss that is not a number ends the run and names the learning rate."""
    trainer = trainer_of(split)
    torch.nn.init.constant_(trainer.model.encoder.norm.weight, math.nan)

    with pytest.raises(MicrolensError, match=r"loss nan in epoch 7 at learning_rate=0.001") as caught:
        trainer.run_epoch(7)

    assert "lower learning_rate" in caught.value.hint


def test_users_with_nothing_to_predict_are_left_out_of_batches(interactions):
    """A user of three items has one for training: no pair of input and target."""
    split = leave_one_out(interactions([1, 1, 1, 2, 2, 2, 2], [1, 2, 3, 4, 5, 6, 7], item_count=7))

    trainer = trainer_of(split)

    assert [[4, 5]] == trainer.task.sequences[:, -2:].tolist()


def test_a_release_of_three_items_a_user_trains_nothing_and_still_ranks(interactions):
    """Without one training pair the untrained model is the best, and nothing fails."""
    split = leave_one_out(interactions([1, 1, 1, 2, 2, 2], [1, 2, 3, 4, 5, 6], item_count=7))

    _, fitted = train(split, QUICK)

    assert 0 == fitted.best_epoch


def test_norm_gains_do_not_decay(split):
    """Weight decay is for matrices; vectors are in a group of their own."""
    trainer = trainer_of(split)
    decayed, spared = trainer.optimizer.dense.param_groups

    assert all(weights.ndim == 2 for weights in decayed["params"])
    assert (0.1, 0.0) == (decayed["weight_decay"], spared["weight_decay"])

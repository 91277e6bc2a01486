import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.optimizer import Optimizer
from benchmark.row_adamw import RowAdamW
from benchmark.settings import Settings
from benchmark.train import fit
from microlens.errors import MicrolensError, RecipeError

ROWS, WIDTH = 40, 3
SETTINGS = Settings(width=16, blocks=1, epochs=3, batch_size=32, dropout=0.0, row_wise="always")


def twins(*, learning_rate, weight_decay):
    """Make the same embedding twice: with torch's AdamW, and with ours."""
    start = torch.randn(ROWS, WIDTH)
    dense, ours = (nn.Embedding.from_pretrained(start.clone(), freeze=False) for _ in range(2))
    reference = torch.optim.AdamW(dense.parameters(), lr=learning_rate, weight_decay=weight_decay)
    return (dense, reference), (ours, RowAdamW(ours, learning_rate=learning_rate, weight_decay=weight_decay))


def step(embedding, optimizer, rows, pull):
    embedding.weight.grad = None
    (embedding(rows) * pull).sum().backward()
    optimizer.step()


@pytest.mark.parametrize(("learning_rate", "weight_decay"), [(0.01, 0.1), (0.001, 0.0), (0.05, 1.0)])
@pytest.mark.parametrize("steps", [7, 250])
def test_rows_move_as_dense_adamw_moves_them(learning_rate, weight_decay, steps):
    """Every vector that is looked up, and at the end every row, is the dense one; some rows are never looked up."""
    (dense, reference), (ours, rowwise) = twins(learning_rate=learning_rate, weight_decay=weight_decay)
    start = ours.weight.detach().clone()
    for _ in range(steps):
        # Popular rows come nearly always, others after gaps of a hundred steps; the last ten never.
        rows = (torch.rand(6) ** 4 * (ROWS - 10)).long()
        pull = torch.randn(6, WIDTH)
        torch.testing.assert_close(ours(rows), dense(rows), rtol=1e-4, atol=1e-6)
        step(dense, reference, rows, pull)
        step(ours, rowwise, rows, pull)
    rowwise.catch_up_all()

    torch.testing.assert_close(ours.weight, dense.weight, rtol=1e-4, atol=1e-6)
    assert not torch.equal(start[:20], ours.weight[:20])


@pytest.mark.parametrize(("size", "error"), [(1e-4, 0.002), (1e-5, 0.01), (1e-6, 0.04), (1e-7, 0.1)])
def test_small_gradients_move_rows_as_dense_adamw_moves_them(size, error):
    """Of all movement a small share is off, where they are not much larger than AdamW's epsilon, in the first steps."""
    torch.manual_seed(0)
    (dense, reference), (ours, rowwise) = twins(learning_rate=0.01, weight_decay=0.0)
    start = ours.weight.detach().clone()
    for _ in range(60):
        rows, pull = torch.randint(0, ROWS, (2,)), torch.randn(2, WIDTH) * size
        step(dense, reference, rows, pull)
        step(ours, rowwise, rows, pull)
    rowwise.catch_up_all()

    assert (ours.weight - dense.weight).norm() < error * (dense.weight - start).norm()


def test_a_gap_beyond_all_bias_correction_is_bridged():
    """After 25,000 steps without a gradient a row is where the formula, step by step, brings it."""
    _, (ours, rowwise) = twins(learning_rate=0.01, weight_decay=0.001)
    weight, mean, square = float(ours.weight.detach()[0, 0]), 0.1, 0.001  # after a gradient of 1
    for count in range(1, 25_002):
        if count > 1:
            mean, square = 0.9 * mean, 0.999 * square
        move = mean / (1 - 0.9**count) / (math.sqrt(square / (1 - 0.999**count)) + 1e-8)
        weight = weight * (1 - 0.01 * 0.001) - 0.01 * move

    step(ours, rowwise, torch.tensor([0]), torch.ones(1, WIDTH))
    rowwise.steps = 25_001
    rowwise.catch_up_all()

    assert pytest.approx(weight, rel=1e-4) == float(ours.weight.detach()[0, 0])


def test_a_decay_that_outruns_the_moments_is_refused():
    """The tails of the formula would grow without end: the setting to change is named."""
    with pytest.raises(RecipeError, match=r"learning_rate \* weight_decay is 0.2") as caught:
        RowAdamW(nn.Embedding(3, 2), learning_rate=0.2, weight_decay=1.0)

    assert "row_wise=never" in caught.value.hint


def test_what_is_not_looked_up_is_not_touched():
    """A step leaves all other rows' bits as they are: that is what makes it cheap."""
    _, (ours, rowwise) = twins(learning_rate=0.01, weight_decay=0.1)
    for row in (0, 1, 0):
        step(ours, rowwise, torch.tensor([row]), torch.ones(1, WIDTH))
    before = ours.weight.detach().clone()
    step(ours, rowwise, torch.tensor([1]), torch.ones(1, WIDTH))

    assert [1] == (before != ours.weight).any(1).nonzero().flatten().tolist()


def trained(name, world, settings, side):
    torch.manual_seed(0)
    split = leave_one_out(world)
    model = MODELS[name].build(split, settings, side)
    task = MODELS[name].task(model, split, settings)
    return model, fit(model, task, split.validation, settings, seed=0, progress=lambda event, facts: None)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "sasrec_id_v", "sasrec_id_pop_tag", "alphafuse"])
def test_a_model_learns_the_same_by_rows(name, make_world, make_side):
    """Curves by rows are those of dense AdamW, but for rounding, whatever is known of items beside their ids."""
    world, side = make_world(users=300), make_side(200)
    _, dense = trained(name, world, replace(SETTINGS, row_wise="never"), side)
    model, by_rows = trained(name, world, SETTINGS, side)

    assert model.items.embedding.sparse
    assert pytest.approx([one["loss"] for one in dense.curves], rel=1e-3) == [one["loss"] for one in by_rows.curves]


def test_tables_below_the_size_are_moved_whole(make_world):
    """`auto` leaves 200 items of width 16 to dense AdamW, and a loss over all items any table."""
    split = leave_one_out(make_world(users=50))
    for settings in (replace(SETTINGS, row_wise="auto"), replace(SETTINGS, loss="full")):
        model = MODELS["sasrec"].build(split, settings, None)

        assert {} == Optimizer(model, settings).by_rows


class WholeTable(nn.Module):
    """Computes with all of its rows, as a graph model does."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(ROWS, WIDTH)


def test_a_table_that_is_used_whole_goes_to_dense_adamw():
    """Its first gradient tells; nothing is lost, and the step is taken."""
    model = WholeTable()
    before = model.table.weight.detach().clone()
    optimizer = Optimizer(model, SETTINGS)
    model.table.weight.square().sum().backward()
    optimizer.step()

    assert {} == optimizer.by_rows
    assert not model.table.sparse
    assert (before != model.table.weight).all()


def test_a_table_that_is_used_whole_now_and_then_is_refused():
    """Rows that wait to be brought up to date would have been read as they are."""
    model = WholeTable()
    optimizer = Optimizer(model, SETTINGS)
    model.table(torch.tensor([1])).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    model.table.weight.sum().backward()

    with pytest.raises(MicrolensError, match="the whole of table in step 2"):
        optimizer.step()


def test_clipping_counts_rows_and_matrices_together():
    """The norm over a sparse and a dense gradient is that of all their numbers."""
    settings = replace(SETTINGS, gradient_clip=1.0)
    model = nn.ModuleDict({"table": nn.Embedding(4, 2), "matrix": nn.Linear(2, 2, bias=False)})
    optimizer = Optimizer(model, settings)
    (model["matrix"](model["table"](torch.tensor([1, 1, 2]))) * 100).sum().backward()
    optimizer.step()
    gradients = [model["table"].weight.grad.to_dense(), model["matrix"].weight.grad]

    assert pytest.approx(1.0, rel=1e-5) == float(torch.cat([one.flatten() for one in gradients]).norm())

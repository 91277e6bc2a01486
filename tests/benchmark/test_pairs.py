import numpy as np
import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.settings import Settings
from benchmark.tasks.pairs import Pairs


@pytest.fixture
def split(make_world):
    return leave_one_out(make_world(users=60))


def task_of(split, model="lightgcn", **settings):
    chosen = Settings(width=8, batch_size=64, **settings)
    return Pairs(MODELS[model].build(split, chosen, None), split, chosen)


def epoch(task, seed=0):
    return torch.cat(list(task.batches(torch.Generator().manual_seed(seed))))


def test_an_epoch_has_every_pair_once_and_draws_what_its_user_never_met(split):
    """User and item of each training interaction, then items of none of that user's."""
    rows = epoch(task_of(split, loss="bpr", negatives=5)).tolist()
    pairs = {(user, item) for user, item in split.pairs.tolist()}

    assert sorted(map(tuple, split.pairs.tolist())) == sorted((user, item) for user, item, *_ in rows)
    assert not pairs & {(user, item) for user, _, *drawn in rows for item in drawn}
    assert all(1 <= item <= split.item_count for _, _, *drawn in rows for item in drawn)


def test_an_order_settles_the_draws(split):
    """The same generator state gives the same epoch; the next state another order and other items."""
    task = task_of(split, loss="bpr")
    order = torch.Generator().manual_seed(0)
    first, second = (torch.cat(list(task.batches(order))) for _ in range(2))

    assert torch.equal(first, epoch(task))
    assert set(map(tuple, first.tolist())) != set(map(tuple, second.tolist()))


def test_who_met_everything_is_left_out(interactions):
    """User 0 met all three items in training and comes back to two of them: nothing can be drawn for that user."""
    world = interactions([1] * 5 + [2] * 4, [1, 2, 3, 1, 2, 1, 2, 3, 1], item_count=3)

    rows = epoch(task_of(leave_one_out(world), loss="bpr"))

    assert [[1, 1, 3], [1, 2, 3]] == sorted(rows.tolist())


def test_the_in_batch_loss_equals_a_loop(split):
    """Distinct items of the batch compete, but for those that the user met in training, corrected by log frequency."""
    task = task_of(split, "dssm", loss="in_batch", log_q="frequency")
    batch = split.pairs[:40]
    with torch.no_grad():
        scores = task.model.eval().scores(batch[:, 0], None).double().numpy()
    met = {(user, item) for user, item in split.pairs.tolist()}
    counts = np.bincount(split.pairs[:, 1])
    losses = []
    for row, (user, target) in enumerate(batch.tolist()):
        rivals = [i for i in set(batch[:, 1].tolist()) if i == target or (user, i) not in met]
        corrected = [scores[row, i] - np.log(counts[i]) for i in rivals]
        losses.append(np.log(np.exp(corrected).sum()) - (scores[row, target] - np.log(counts[target])))

    assert pytest.approx(np.mean(losses), rel=1e-5) == float(task.loss(batch).detach())

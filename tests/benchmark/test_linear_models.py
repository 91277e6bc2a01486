"""Models that count and solve instead of training, against NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.met import Met
from benchmark.data.release import Interactions
from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate
from benchmark.metrics import summarise
from benchmark.models import MODELS, ease
from benchmark.models.ease import EASE
from benchmark.models.itemknn import ItemKNN
from benchmark.models.popularity import Popularity
from benchmark.presets import load_preset
from microlens.errors import RecipeError
from tests.benchmark.references import ITEMS, dense, few_met

MICROLENS = Path(__file__).parents[3] / "shared" / "real-data" / "microlens-50k" / "MicroLens-50k_pairs.tsv"


@pytest.fixture
def met():
    return few_met()


@pytest.mark.parametrize("recency", [1.0, 0.5])
def test_itemknn_sums_cosines_of_columns(met, recency):
    """Each past item adds the cosines of its column with all others; recency weighs the steps."""
    X = dense(met).double()
    norms = X.norm(dim=0).clamp(min=1e-9)
    cosine = (X.T @ X / norms / norms[:, None]).fill_diagonal_(0)
    expected = cosine[4] + recency * cosine[2] + recency**2 * cosine[7]

    scores = ItemKNN(met, neighbours=ITEMS, recency=recency).scores(torch.zeros(1), torch.tensor([[0, 7, 2, 4]]))

    assert torch.allclose(expected.float(), scores)


def test_itemknn_keeps_the_nearest_only(met):
    """With one neighbour an item adds its largest cosine and nothing else."""
    all_scores, one = (
        ItemKNN(met, neighbours=k, recency=1.0).scores(torch.zeros(1), torch.tensor([[3]]))[0] for k in (ITEMS, 1)
    )

    assert all_scores.max() == one.max()
    assert 1 == int((one > 0).sum())


@pytest.mark.slow
def test_itemknn_reaches_its_floors_on_microlens_50k():
    """Test HR@10 0.0376 and NDCG@10 0.0185 plain, 0.0438 and 0.0220 with recency, each within half a standard error."""
    if not MICROLENS.is_file():
        pytest.skip(f"{MICROLENS} is not here")
    rows = [line.split() for line in MICROLENS.read_text(encoding="utf-8").splitlines()]
    user = np.repeat([int(row[0]) for row in rows], [len(row) - 1 for row in rows])
    item = np.concatenate([np.array(row[1:], dtype=np.int64) for row in rows])
    ids, item = np.unique(item, return_inverse=True)
    split = leave_one_out(Interactions("MicroLens-50k", ids, user, item + 1, np.arange(len(item))))
    model = MODELS["itemknn"].build(split, load_preset("default", "itemknn"), None)
    found = []
    for model.recency in (1.0, 0.8):
        metrics = summarise(evaluate(model, split.test))
        found += [metrics["hr@10"], metrics["ndcg@10"]]

    assert pytest.approx([0.0376, 0.0185, 0.0438, 0.0220], abs=0.0004) == found


def test_ease_is_a_ridge_regression_of_every_item_on_the_others(met):
    """Column by column, with the item's own column left out, NumPy finds the same weights."""
    X, ridge = dense(met).double().numpy()[:, 1:], 2.0
    expected = np.zeros((ITEMS + 1, ITEMS + 1))
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        A = X[:, others]
        expected[others + 1, item + 1] = np.linalg.solve(A.T @ A + ridge * np.eye(ITEMS - 1), A.T @ X[:, item])

    assert np.allclose(expected, EASE(met, ridge=ridge).weight.numpy(), atol=1e-5)


def test_ease_counts_an_item_of_a_history_once(met):
    """A history is what was met: a second time adds nothing, nor does padding."""
    ease = EASE(met, ridge=2.0)

    scores = ease.scores(torch.zeros(1), torch.tensor([[0, 0, 3, 5, 3]]))

    assert torch.allclose(ease.weight[3] + ease.weight[5], scores)


def test_ease_refuses_a_matrix_that_fits_no_memory(met):
    """Before it is made, with the number of items, its size, what is free and what to do."""
    large = Met(met.user, met.item, met.bounds, 1_000_000)

    with pytest.raises(RecipeError, match=r"1,000,000 of them take 8,000\.0 GB, and [\d,.]+ GB of cpu's") as caught:
        EASE(large, ridge=1.0)
    assert "--warm 20" in caught.value.hint


def test_ease_takes_as_many_items_as_there_is_room_for(met, monkeypatch):
    """Nine items and padding take two tables of 400 bytes: room for 800 is enough, and for 799 is not."""
    monkeypatch.setattr(ease, "free_bytes", lambda device: 799)
    with pytest.raises(RecipeError, match="items by items"):
        EASE(met, ridge=1.0)
    monkeypatch.setattr(ease, "free_bytes", lambda device: 800)

    assert (10, 10) == EASE(met, ridge=1.0).weight.shape


@pytest.mark.parametrize("name", ["itemknn", "ease"])
def test_linear_models_find_tastes(name, make_world):
    """Where users have tastes, what others met besides hits at least twice as often as popularity."""
    toy = leave_one_out(make_world(users=1_000))
    floor = summarise(evaluate(Popularity(toy.frequency), toy.test))["hr@10"]
    model = MODELS[name].build(toy, load_preset("default", name), None)

    assert 2 * floor < summarise(evaluate(model, toy.test))["hr@10"]

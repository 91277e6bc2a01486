"""Models of users and items without order, each against dense algebra in NumPy or torch."""

import numpy as np
import pytest
import torch

from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate
from benchmark.metrics import summarise
from benchmark.models import MODELS
from benchmark.models.deepfm import DeepFM
from benchmark.models.dssm import DSSM
from benchmark.models.factorised import Factorised
from benchmark.models.fusion import FeatureFusion
from benchmark.models.graph import Graph
from benchmark.models.grcn import GRCN
from benchmark.models.lightgcn import LightGCN
from benchmark.models.mmgcn import MMGCN
from benchmark.models.nfm import NFM
from benchmark.models.pairs import DotProduct
from benchmark.models.popularity import Popularity
from benchmark.presets import load_preset
from benchmark.settings import Settings
from benchmark.tasks.pairs import Pairs
from benchmark.train import Trainer, fit
from microlens.errors import NotReadyError
from tests.benchmark.references import ITEMS, USERS, dense, few_met

TRAINED = [name for name, entry in MODELS.items() if entry.task is Pairs]


@pytest.fixture(scope="module")
def toy(make_world):
    return leave_one_out(make_world(users=1_000))


@pytest.fixture
def met():
    return few_met()


def everything():
    return torch.arange(USERS), torch.arange(ITEMS + 1)


def close(expected, found):
    return all(torch.allclose(one, other, atol=1e-5) for one, other in zip(expected, found, strict=True))


def test_sums_over_the_graph_and_their_gradients_equal_dense_algebra(met):
    """Both directions and the products along edges, with gradients of vectors and of weights."""
    graph, X = Graph(met), dense(met)
    users, items, weight = torch.randn(USERS, 4), torch.randn(ITEMS + 1, 4), torch.rand(len(met.user))

    def through_graph(users, items, weight):
        return graph.to_users(items, weight), graph.to_items(users, weight), graph.products(users, items)

    def through_table(users, items, weight):
        table = X.index_put((met.user, met.item), weight)
        return table @ items, table.T @ users, (users @ items.T)[met.user, met.item]

    results = []
    for function in (through_graph, through_table):
        leaves = [values.clone().requires_grad_() for values in (users, items, weight)]
        outputs = function(*leaves)
        sum(output.sin().sum() for output in outputs).backward()
        results.append([output.detach() for output in outputs] + [leaf.grad for leaf in leaves])

    assert close(*results)


def test_lightgcn_equals_powers_of_the_normalised_adjacency(met):
    """The mean of A^0 E to A^3 E over one square matrix of users and items."""
    model, X = LightGCN(Graph(met), 4, steps=3), dense(met)
    A = torch.zeros(USERS + ITEMS + 1, USERS + ITEMS + 1)
    A[:USERS, USERS:], A[USERS:, :USERS] = X, X.T
    scale = A.sum(1).clamp(min=1).rsqrt()
    A = scale[:, None] * A * scale
    E = torch.cat([model.users.weight, model.items.weight])
    expected = sum(torch.linalg.matrix_power(A, n) @ E for n in range(4)) / 4

    assert close(expected.split([USERS, ITEMS + 1]), model(*everything()))


@pytest.mark.parametrize("has_features", [False, True])
def test_mmgcn_equals_its_formula_on_a_dense_table(met, make_side, has_features):
    """Means of neighbours by a row-normalised table, then the three matrices of a step, for both modalities."""
    features = make_side(ITEMS).features("videomae") if has_features else None
    model, X = MMGCN(Graph(met), 4, steps=2, features=features), dense(met)
    means = [table / table.sum(1, keepdim=True).clamp(min=1) for table in (X, X.T)]
    leaky, unit = torch.nn.functional.leaky_relu, torch.nn.functional.normalize
    ids = model.users.weight, model.items.weight
    walks = [(model.id_steps, *ids)]
    if has_features:
        walks.append(
            (model.feature_steps, model.tastes.weight, features @ model.projection.weight.T + model.projection.bias)
        )
    ends = []
    for steps, users, items in walks:
        x = [unit(users), unit(items)]
        for step in steps:
            h = [leaky(means[0] @ x[1] @ step.aggregate.weight.T), leaky(means[1] @ x[0] @ step.aggregate.weight.T)]
            x = [leaky(step.combine(h[i]) + leaky(step.keep(x[i])) + ids[i]) for i in (0, 1)]
        ends.append(x)

    assert close([sum(end[i] for end in ends) / len(ends) for i in (0, 1)], model(*everything()))


@pytest.mark.parametrize("has_features", [False, True])
def test_grcn_equals_its_formula_on_a_dense_table(met, make_side, has_features):
    """Masked softmaxes over rows and columns of a full table of products, for both modalities."""
    features = make_side(ITEMS).features("videomae") if has_features else None
    model, X = GRCN(Graph(met), 4, steps=2, features=features), dense(met)
    torch.nn.init.normal_(model.user_trust)
    torch.nn.init.normal_(model.item_trust)
    unit, modalities = torch.nn.functional.normalize, [model.items.weight]
    if has_features:
        modalities.append(torch.nn.functional.leaky_relu(model.projection(features)))

    def shares(users, items, dim):
        powers = (users @ items.T).exp() * X
        return powers / powers.sum(dim, keepdim=True).clamp(min=1e-9)

    to_user, to_item, ends = [], [], []
    for n, known in enumerate(modalities):
        taste, items = unit(model.tastes.weight[:, 4 * n : 4 * n + 4]), unit(known)
        for _ in range(3):
            taste = unit(taste + shares(taste, items, 1) @ items)
        to_user.append(shares(taste, items, 1) * model.user_trust[:, n, None])
        to_item.append(shares(taste, items, 0) * model.item_trust[:, n])
        ends.append((taste + shares(taste, items, 1) @ items, items + shares(taste, items, 0).T @ taste))
    to_user, to_item = (torch.stack(weights).amax(0).relu() for weights in (to_user, to_item))
    walk = [(unit(model.users.weight), unit(model.items.weight))]
    for _ in range(2):
        walk.append((to_user @ walk[-1][1], to_item.T @ walk[-1][0]))
    expected = [torch.cat([sum(x[i] for x in walk), *(end[i] for end in ends)], 1) for i in (0, 1)]

    assert close(expected, model(*everything()))


@pytest.mark.parametrize("interaction", [NFM, DeepFM])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("numbers", [1, 2**20])
def test_scoring_all_items_equals_scoring_each_pair(interaction, layers, numbers, monkeypatch):
    """Folded and blocked, whatever the size of a block, in evaluation mode."""
    monkeypatch.setitem(Factorised.__init__.__globals__["GRID_NUMBERS"], "cpu", numbers)
    model = Factorised(interaction(4, layers=layers, dropout=0.5), USERS, ITEMS, 4).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    users, items = everything()

    assert close([model.pair_scores(users, items.expand(USERS, -1))], [model.scores(users, None)])


def test_nfm_pools_as_a_factorisation_machine_does():
    """Half of the square of the sum less the sum of squares, of two one-hot fields, then the layers, then weights."""
    model = Factorised(NFM(4, layers=1), USERS, ITEMS, 4).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    u, v = model.users.weight[2], model.items.weight[5]
    pooled = ((u + v) ** 2 - (u**2 + v**2)) / 2
    first, last = model.interaction.layers[0], model.interaction.layers[-1]
    hidden = (first.weight @ pooled + first.bias).relu()
    expected = model.user_weight.weight[2] + model.item_weight.weight[5] + last.weight @ hidden + last.bias

    assert close([expected], model.pair_scores(torch.tensor([2]), torch.tensor([[5]])))


def test_deepfm_adds_layers_to_a_factorisation_machine():
    """First-order weights, a dot product, and layers on both vectors side by side."""
    model = Factorised(DeepFM(4, layers=1), USERS, ITEMS, 4).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights)
    u, v = model.users.weight[2], model.items.weight[5]
    first, last = model.interaction.layers[0], model.interaction.layers[-1]
    deep = last.weight @ (first.weight @ torch.cat([u, v]) + first.bias).relu() + last.bias
    expected = model.user_weight.weight[2] + model.item_weight.weight[5] + u @ v + deep

    assert close([expected], model.pair_scores(torch.tensor([2]), torch.tensor([[5]])))


@pytest.mark.parametrize("concatenates", [False, True])
def test_dssm_towers_equal_their_formula(make_side, concatenates):
    """An item's tower takes its id vector plus a map of its centred unit feature, or a matrix on both."""
    fusion = FeatureFusion(make_side(ITEMS).features("videomae"), 4, concatenates=concatenates)
    towers = DSSM(USERS, ITEMS, 4, layers=1, fusion=fusion).eval()
    (in_1, out_1), (in_2, out_2) = (
        [one for one in tower if hasattr(one, "weight")] for tower in (towers.user_tower, towers.item_tower)
    )
    ids, content = towers.items.weight, fusion.get_buffer("features") @ fusion.project.weight.T
    known = torch.cat([ids, content], 1) @ fusion.join.weight.T if concatenates else ids + content
    users = in_1(towers.users.weight).relu() @ out_1.weight.T + out_1.bias
    items = in_2(known).relu() @ out_2.weight.T + out_2.bias

    assert close([users, items], towers(*everything()))
    assert close([users @ items.T], [DotProduct(towers, USERS, ITEMS).eval().scores(torch.arange(USERS), None)])


def test_vectors_are_worked_out_once_an_evaluation_and_dropped_after_it(met):
    """Two questions walk over the graph once; after training goes on, or other weights are loaded, once more."""
    model = DotProduct(LightGCN(Graph(met), 4), USERS, ITEMS)
    walks = []
    model.encoder.register_forward_hook(lambda *_: walks.append(1))
    other = {name: weights + 1 for name, weights in model.state_dict().items()}

    model.eval()
    before = [model.scores(torch.tensor([user]), None) for user in (0, 1)]
    model.load_state_dict(other)
    after = model.scores(torch.tensor([0]), None)
    model.train()
    model.eval().scores(torch.tensor([0]), None)

    assert 3 == len(walks)
    assert not torch.allclose(before[0], after)


@pytest.mark.parametrize("name", ["itemknn", "ease", *TRAINED])
def test_no_model_of_pairs_sees_its_target(name, interactions, make_side):
    """Other items in the places of validation and test change no score after an epoch of training."""
    users, items = np.repeat([1, 2, 3], 5), [1, 2, 3, 0, 0, 2, 3, 4, 0, 0, 4, 5, 6, 0, 0]
    scores = []
    for held_out in ([7, 8, 9, 1, 8, 7], [9, 7, 8, 9, 9, 2]):
        filled = np.array(items)
        filled[filled == 0] = held_out
        split = leave_one_out(interactions(users, filled, item_count=9))
        torch.manual_seed(0)
        chosen = load_preset("default", name, {"width": 8, "neighbours": 9})
        model = MODELS[name].build(split, chosen, make_side(9))
        if name in TRAINED:
            Trainer(model, Pairs(model, split, chosen), split.validation, chosen, seed=0).run_epoch(1)
            model.eval()
        scores.append(model.scores(split.validation.users, split.validation.history))

    assert torch.equal(*scores)


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_reach_every_parameter_of_pair_models(name, toy, make_side):
    """A few batches move all there is to move."""
    chosen = load_preset("default", name, {"width": 8})
    model = MODELS[name].build(toy, chosen, make_side(toy.item_count)).train()
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)  # out of ReLU's dead corner
    task = Pairs(model, toy, chosen)

    sum(task.loss(batch) for batch in task.batches(torch.Generator().manual_seed(0))).backward()

    still = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert [] == still


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_models_of_pairs_find_tastes(name, make_world, make_side):
    """Where users have tastes, twenty epochs hit at least twice as often as popularity."""
    split = leave_one_out(make_world(users=1_800))
    chosen = load_preset("default", name, {"width": 16, "epochs": 20, "batch_size": 512, "learning_rate": 5e-3})
    model = MODELS[name].build(split, chosen, make_side(split.item_count))
    fit(model, Pairs(model, split, chosen), split.validation, chosen, seed=0, progress=lambda *_: None)
    floor = summarise(evaluate(Popularity(split.frequency), split.test))["hr@10"]

    assert 2 * floor < summarise(evaluate(model, split.test))["hr@10"]


@pytest.mark.parametrize("name", ["dssm_id_v", "mmgcn_id_v", "grcn_id_v"])
def test_features_that_are_not_there_are_refused_by_name(name, toy, make_side):
    """An ID+V model asks for the features that its settings name, and makes up none."""
    with pytest.raises(NotReadyError, match="'cover'"):
        MODELS[name].build(toy, Settings(width=8, features="cover"), make_side(toy.item_count))

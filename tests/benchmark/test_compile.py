"""What `compile=true` makes, told by a backend that counts graphs and leaves them as they are."""

from functools import partialmethod

import pytest
import torch
from torch import nn

from benchmark.checkpoint import Checkpoint
from benchmark.data.split import leave_one_out
from benchmark.models import MODELS, settings_of
from benchmark.train import fit
from microlens.errors import RecipeError

QUICK = {"width": 8, "blocks": 1, "epochs": 2, "batch_size": 64, "row_wise": "always", "threads": 1}
TRAINED = [name for name, entry in MODELS.items() if entry.task is not None]
COMPILED = [name for name in TRAINED if MODELS[name].why_not_compiled is None]

# What torch.compile itself does while it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*autograd.function.Function.* should not be instantiated"),
]


@pytest.fixture(scope="module")
def split(make_world):
    return leave_one_out(make_world(users=60))


@pytest.fixture
def graphs(monkeypatch):
    """The graphs that were made, whoever calls `compile`."""
    made = []

    def count(graph, inputs):
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=count))
    torch.compiler.reset()
    yield made
    torch.compiler.reset()


def trained(name, split, side, checkpoint=None, until=None, **changes):
    settings = settings_of(name, "default", QUICK | changes)
    torch.manual_seed(0)
    model = MODELS[name].build(split, settings, side)
    task = MODELS[name].task(model, split, settings)
    fitted = fit(
        model,
        task,
        split.validation,
        settings,
        seed=0,
        progress=lambda *_: None,
        checkpoint=checkpoint,
        until=until,
    )
    return model.state_dict(), fitted


@pytest.mark.parametrize("name", COMPILED)
def test_every_model_that_is_compiled_trains_in_graphs(name, split, make_side, graphs):
    """There are some, no more than shapes of batches ask for; weights have the names and values of an eager run."""
    eager, _ = trained(name, split, make_side(split.item_count))
    assert not graphs

    compiled, _ = trained(name, split, make_side(split.item_count), compile=True)

    assert 1 <= len(graphs) <= 6
    assert list(eager) == list(compiled)
    for weight, values in eager.items():
        torch.testing.assert_close(compiled[weight], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "dssm", "nfm"])
def test_a_compiled_run_goes_on_from_its_checkpoint(name, split, make_side, graphs, tmp_path):
    """Stopped after one epoch of two, it compiles again and comes to the weights of a run in peace."""
    side = make_side(split.item_count)
    undisturbed, _ = trained(name, split, side, compile=True)
    checkpoint = Checkpoint(tmp_path, {"model": name, "seed": 0})
    trained(name, split, side, checkpoint, 1, compile=True)
    graphs.clear()
    torch.compiler.reset()

    resumed, fitted = trained(name, split, side, checkpoint, compile=True)

    assert 2 == fitted.epochs
    assert graphs
    for weight, values in undisturbed.items():
        assert torch.equal(values, resumed[weight])


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in COMPILED])
def test_what_compiling_does_nothing_for_is_refused(name):
    """By name and with the reason, before anything is trained; without the setting it is taken."""
    with pytest.raises(RecipeError, match=f"{name} is not trained with compile=true: torch") as caught:
        settings_of(name, "default", {"compile": "true"})

    assert "leave compile out" in caught.value.hint
    assert not settings_of(name, "default").compile

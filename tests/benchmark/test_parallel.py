"""Two processes on gloo, started as torchrun starts them, against one."""

import os
import subprocess
import sys

import numpy as np
import orjson
import pytest
import torch

from benchmark.checkpoint import read_checkpoint
from benchmark.run import run_benchmark

MODELS = ["sasrec", "bert4rec", "dssm"]
METRICS = [f"{name}@{k}" for name in ("hr", "ndcg", "mrr", "coverage", "popularity") for k in (10, 20)]
SETTINGS = {"width": 16, "blocks": 1, "epochs": 3, "batch_size": 33, "dropout": 0.0, "threads": 1, "patience": 9}


def torchrun(processes, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def benchmark(processes, release, out, models=MODELS, **changes):
    settings = [part for name, value in (SETTINGS | changes).items() for part in ("--set", f"{name}={value}")]
    command = ["-m", "microlens.cli", "benchmark", release, "--out", out, "--json", "--device", "cpu", *settings]
    return torchrun(processes, *command, "--models", ",".join(models))


@pytest.fixture(scope="module", params=["never", "always"])
def two(request, small_release, tmp_path_factory):
    """A run of two processes: the folder of its results, its rows by model, and what it said."""
    out = tmp_path_factory.mktemp("two")
    done = benchmark(2, small_release, out, row_wise=request.param)
    return out, {row["model"]: row for row in orjson.loads(done.stdout)["rows"]}, done.stderr


@pytest.fixture(scope="module")
def one(two, small_release, tmp_path_factory):
    """The same of one process."""
    out, row_wise = tmp_path_factory.mktemp("one"), next(iter(two[1].values()))["settings"]["row_wise"]
    board = run_benchmark(small_release, MODELS, out=out, device="cpu", overrides=SETTINGS | {"row_wise": row_wise})
    return out, {row["model"]: row for row in board.rows}


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_two_processes_learn_what_one_learns(one, two, model):
    """Losses, metrics and weights are those of one process but for rounding, by rows as well."""
    ours, theirs = (rows[model]["runs"][0] for _, rows, *_ in (two, one))
    learned, expected = (
        read_checkpoint(out / run["checkpoint"])["model"] for out, run in ((two[0], ours), (one[0], theirs))
    )

    for mine, other in zip(ours["curves"], theirs["curves"], strict=True):
        assert pytest.approx(other["loss"], rel=1e-4) == mine["loss"]
        assert pytest.approx(other["ndcg@10"], abs=2e-3) == mine["ndcg@10"]
    for name, values in expected.items():
        # A key's bias adds the same to all that a query weighs, an item tower's last to all of a user's scores: their
        # gradients are rounding alone, blown up by Adam.
        if name == "encoder.item_tower.3.bias":
            continue
        of = np.r_[0:16, 32:48] if name.endswith("query_key_value.bias") else slice(None)
        torch.testing.assert_close(learned[name][of], values[of], rtol=0.02, atol=1e-3)


def test_every_user_is_asked_once(make_world, write_release, tmp_path):
    """Of 301 users two processes rank 150 and 151: the ranks of all are those of one process, nobody's twice."""
    release = write_release(tmp_path / "Toy-301", make_world(users=301))
    done = benchmark(2, release, tmp_path / "two", ["popularity"])
    board = run_benchmark(release, ["popularity"], out=tmp_path / "one", device="cpu", overrides=SETTINGS)
    assert 0 == done.returncode, done.stderr
    with (
        np.load(tmp_path / "one/ranks/popularity-0.npz") as one,
        np.load(tmp_path / "two/ranks/popularity-0.npz") as two,
    ):
        assert list(range(1, 302)) == two["user_id"].tolist()
        assert all(one[name].tolist() == two[name].tolist() for name in one.files)
    [row] = orjson.loads(done.stdout)["rows"]

    assert {name: row[name] for name in METRICS} == {name: board.rows[0][name] for name in METRICS}


def test_fewer_users_than_processes_are_asked(small_release, tmp_path):
    """One user validates: a process without any waits for the other's answer, and both train on."""
    few = {"validation_users": 1, "epochs": 1}
    done = benchmark(2, small_release, tmp_path, ["sasrec"], **few)
    board = run_benchmark(small_release, ["sasrec"], device="cpu", overrides=SETTINGS | few)
    assert 0 == done.returncode, done.stderr
    [row] = orjson.loads(done.stdout)["rows"]

    assert pytest.approx(board.rows[0]["runs"][0]["curves"][0]["hr@10"]) == row["runs"][0]["curves"][0]["hr@10"]
    assert pytest.approx(board.rows[0]["ndcg@10"], abs=2e-3) == row["ndcg@10"]


FEW = """
import torch
from benchmark import parallel
from benchmark.data.release import load_release
from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate, evaluate_and_list
from benchmark.models.popularity import Popularity
from pathlib import Path

def run(release):
    split = leave_one_out(load_release(Path(release)))
    model, asked = Popularity(split.frequency), split.test.drawn(1, seed=0)
    expected, shown = evaluate_and_list(model, asked, 10)
    with parallel.process_group(torch.device("cpu")):
        found, lists = evaluate_and_list(model, asked, 10)
        assert torch.equal(expected.above, found.above) and torch.equal(expected.tied, found.tied), found
        assert torch.equal(shown, lists) and found.above.dtype == expected.above.dtype, lists
        assert torch.equal(expected.above, evaluate(model, asked).above)
    print("fine")
"""


def test_a_test_of_one_user_is_the_same_on_two_processes(small_release, tmp_path):
    """As of a short temporal window: ranks and lists are those of one process, on both."""
    (tmp_path / "few.py").write_text(f"{FEW}\nrun({str(small_release)!r})")
    done = torchrun(2, tmp_path / "few.py")

    assert 2 == done.stdout.count("fine"), done.stderr


@pytest.mark.slow
def test_only_the_first_process_speaks(two):
    """Progress is told once."""
    assert 1 == two[2].count("train sasrec, seed 0: hr@10")


STEP = """
import sys, torch
from benchmark import parallel
from benchmark.data.release import load_release
from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.settings import Settings
from benchmark.train import Trainer
from pathlib import Path

def run(release, into):
    settings = Settings(width=16, blocks=1, batch_size=33, dropout=0.0, row_wise="never")
    with parallel.process_group(torch.device("cpu")):
        split = leave_one_out(load_release(Path(release)))
        torch.manual_seed(0)
        model = MODELS["dssm"].build(split, settings, None)
        trainer = Trainer(model, MODELS["dssm"].task(model, split, settings), split.validation, settings, 0)
        batch = next(iter(trainer.task.batches(torch.Generator().manual_seed(0))))
        loss = parallel.total(trainer.step(batch))
        if parallel.rank() == 0:
            torch.save({"loss": loss, **{name: one.grad for name, one in model.named_parameters()}}, into)

run(*sys.argv[1:])
"""


def test_pairs_are_told_from_the_items_of_the_whole_batch(small_release, tmp_path):
    """Loss and gradients of one step of an in-batch softmax on pairs are those of one process but for rounding."""
    (tmp_path / "step.py").write_text(STEP)
    found = []
    for processes in (1, 2):
        done = torchrun(processes, tmp_path / "step.py", small_release, tmp_path / f"{processes}.pt")
        assert 0 == done.returncode, done.stderr
        found.append(torch.load(tmp_path / f"{processes}.pt"))

    for name, values in found[0].items():
        torch.testing.assert_close(found[1][name], values, rtol=1e-4, atol=1e-7)


PROGRAM = """
import sys, torch
from benchmark import parallel

with parallel.process_group(torch.device("cpu")):
    rank = parallel.rank()
    rows = torch.arange(5)
    weights = torch.nn.Parameter(torch.zeros(4, 2))
    table = torch.nn.Embedding(6, 2, sparse=True)
    weights.grad = torch.full((4, 2), float(rank + 1))
    if rank == 0:
        table(torch.tensor([1, 3])).sum().backward()
    unused = torch.nn.Parameter(torch.zeros(3))
    parallel.add_up_gradients([weights, unused], [table.weight])
    whole, own = parallel.whole_batch(parallel.share(rows))
    assert torch.equal(rows, whole) and torch.equal(parallel.share(rows), rows[own]), whole
    assert torch.equal(rows, parallel.joined(parallel.share(rows)))
    assert [3, 2] == [len(part) for part in parallel.gathered(parallel.share(rows))]
    assert 3.0 == float(parallel.total(torch.tensor(rank + 1.0)))
    assert (weights.grad == 3).all() and not unused.grad.any(), weights.grad
    assert [0, 1, 0, 1, 0, 0] == table.weight.grad.to_dense()[:, 0].int().tolist(), table.weight.grad
    begun = torch.nn.Parameter(torch.full((3, 2), float(rank)))
    parallel.take_over_first([begun])
    assert not begun.any(), begun
print("fine")
"""


def test_ranks_share_and_gather(tmp_path):
    """Uneven shares come together in order, gradients add up, lacking rows too; weights begin as the first rank's."""
    (tmp_path / "program.py").write_text(PROGRAM)
    done = torchrun(2, tmp_path / "program.py")

    assert 2 == done.stdout.count("fine"), done.stderr


LEAVE = """
import os, torch
from benchmark import parallel

def threads():
    return [open(f"/proc/self/task/{one}/comm").read().strip() for one in os.listdir("/proc/self/task")]

with parallel.process_group(torch.device("cpu")):
    weights = torch.nn.Parameter(torch.ones(3))
    parallel.total(weights.detach())
    torch.optim.AdamW([weights])
    assert "pt_gloo_runloop" in threads()
assert "pt_gloo_runloop" not in threads()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are named in /proc")
def test_no_thread_of_a_group_outlives_it(tmp_path):
    """One that did could abort a process that had done all its work (pytorch/pytorch#179291)."""
    (tmp_path / "leave.py").write_text(LEAVE)

    done = torchrun(2, tmp_path / "leave.py")

    assert 0 == done.returncode, done.stderr

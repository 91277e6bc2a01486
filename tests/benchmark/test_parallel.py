"""Two processes on gloo, that meet as torchrun has them meet, against one."""

import os
import subprocess
import sys

import numpy as np
import orjson
import pytest
import torch

from benchmark.checkpoint import read_checkpoint
from benchmark.run import run_benchmark
from tests.benchmark import rank_programs
from tests.benchmark.ranks import on_ranks

MODELS = ["sasrec", "bert4rec", "dssm"]
METRICS = [f"{name}@{k}" for name in ("hr", "ndcg", "mrr", "coverage", "popularity") for k in (10, 20)]
SETTINGS = {"width": 16, "blocks": 1, "epochs": 3, "batch_size": 33, "dropout": 0.0, "threads": 1, "patience": 9}


def torchrun(release, out):
    """The command line on two processes, by torch's own launcher."""
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "microlens.cli",
        "benchmark",
    ]
    return subprocess.run(
        [sys.executable, *command, release, "--out", out, "--json", "--device", "cpu", *settings, "--models", "sasrec"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )


def benchmark(release, out, models, **changes):
    """Two processes rank by two models; gives the rows by model."""
    on_ranks(2, rank_programs.run, release, out, models, SETTINGS | changes)
    return {row["model"]: row for row in orjson.loads((out / "leaderboard.json").read_bytes())["rows"]}


@pytest.fixture(scope="module", params=["never", "always"])
def both(request, small_release, tmp_path_factory):
    """The same of two processes and of one: of each the folder of its results, and its rows by model."""
    two, one = (tmp_path_factory.mktemp(name) for name in ("two", "one"))
    rows = benchmark(small_release, two, MODELS, row_wise=request.param)
    overrides = SETTINGS | {"row_wise": request.param}
    board = run_benchmark(small_release, MODELS, out=one, device="cpu", overrides=overrides)
    return (two, rows), (one, {row["model"]: row for row in board.rows})


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_two_processes_learn_what_one_learns(both, model):
    """Losses, metrics and weights are those of one process but for rounding, by rows as well."""
    ours, theirs = (rows[model]["runs"][0] for _, rows in both)
    learned, expected = (read_checkpoint(out / rows[model]["runs"][0]["checkpoint"])["model"] for out, rows in both)

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
    row = benchmark(release, tmp_path / "two", ["popularity"])["popularity"]
    board = run_benchmark(release, ["popularity"], out=tmp_path / "one", device="cpu", overrides=SETTINGS)
    (one_path,), (two_path,) = ((tmp_path / name / "ranks").iterdir() for name in ("one", "two"))
    with np.load(one_path) as one, np.load(two_path) as two:
        assert list(range(1, 302)) == two["user_id"].tolist()
        assert all(one[name].tolist() == two[name].tolist() for name in one.files)

    assert {name: row[name] for name in METRICS} == {name: board.rows[0][name] for name in METRICS}


def test_fewer_users_than_processes_are_asked(small_release, tmp_path):
    """One user validates: a process without any waits for the other's answer, and both train on."""
    few = {"validation_users": 1, "epochs": 1}
    row = benchmark(small_release, tmp_path, ["sasrec"], **few)["sasrec"]
    board = run_benchmark(small_release, ["sasrec"], device="cpu", overrides=SETTINGS | few)

    assert pytest.approx(board.rows[0]["runs"][0]["curves"][0]["hr@10"]) == row["runs"][0]["curves"][0]["hr@10"]
    assert pytest.approx(board.rows[0]["ndcg@10"], abs=2e-3) == row["ndcg@10"]


def test_a_test_of_one_user_is_the_same_on_two_processes(small_release):
    """As of a short temporal window: ranks and lists are those of one process, on both."""
    for alone, together in on_ranks(2, rank_programs.ask_one_user, small_release):
        assert alone == together


@pytest.mark.slow
def test_only_the_first_process_speaks(small_release, tmp_path):
    """By torchrun progress is told once, and a row."""
    done = torchrun(small_release, tmp_path)

    assert 1 == done.stderr.count("train sasrec, seed 0: hr@10"), done.stderr
    assert ["sasrec"] == [row["model"] for row in orjson.loads(done.stdout)["rows"]]


def test_pairs_are_told_from_the_items_of_the_whole_batch(small_release):
    """Loss and gradients of one step of an in-batch softmax on pairs are those of one process but for rounding."""
    [alone] = on_ranks(1, rank_programs.one_step_on_pairs, small_release)
    together, _ = on_ranks(2, rank_programs.one_step_on_pairs, small_release)

    for name, values in alone.items():
        np.testing.assert_allclose(together[name], values, rtol=1e-4, atol=1e-7)


def test_ranks_share_and_gather():
    """Uneven shares come together in order, gradients add up, lacking rows too; weights begin as the first rank's."""
    first, second = on_ranks(2, rank_programs.share_and_gather)
    rows, shares = [0, 1, 2, 3, 4], [[0, 1, 2], [3, 4]]

    assert shares == [first.pop("share"), second.pop("share")] == [first.pop("own"), second.pop("own")]
    for told in (first, second):
        assert {
            "whole": rows,
            "joined": rows,
            "gathered": [3, 2],
            "total": 3.0,
            "gradient": [3.0],
            "gradient of what is not used": [0.0],
            "gradient of rows": [0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            "begun": [0.0],
        } == told


def test_processes_meet_again_and_again():
    """As where a program calls the benchmark more than once: nothing is left of an earlier meeting that misleads."""
    assert [[2.0] * 4] * 2 == on_ranks(2, rank_programs.meet_again_and_again)


def test_a_table_is_reproduced_by_two_processes(small_release, tmp_path):
    """Protocol by protocol; the report is written once."""
    on_ranks(2, rank_programs.reproduce_a_table, small_release, tmp_path)

    assert "warm-20" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "leave-one-out-warm-20" / "leaderboard.json").is_file()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="threads are named in /proc")
def test_no_thread_of_a_group_outlives_it():
    """One that did could abort a process that had done all its work (pytorch/pytorch#179291)."""
    for within, after in on_ranks(2, rank_programs.leave_a_group, start="spawn"):
        assert "pt_gloo_runloop" in within
        assert "pt_gloo_runloop" not in after

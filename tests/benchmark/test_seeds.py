import statistics

import orjson
import pytest
import torch

from benchmark.memory import names_what_to_lower
from benchmark.report import METRICS
from benchmark.run import run_benchmark
from benchmark.settings import Settings
from microlens.errors import MicrolensError, RecipeError

QUICK = {"width": 16, "blocks": 1, "epochs": 2, "threads": 1, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def board(small_release, tmp_path_factory):
    out = tmp_path_factory.mktemp("seeds")
    return run_benchmark(small_release, seeds=[0, 1, 2], overrides=QUICK, out=out, device="cpu"), out


def row_of(board, model):
    return next(row for row in board.rows if row["model"] == model)


def test_a_row_has_mean_and_deviation_over_seeds(board):
    """They are those of the sample of runs, which stand in the row as well."""
    row = row_of(board[0], "sasrec")

    assert [0, 1, 2] == row["seeds"] == [run["seed"] for run in row["runs"]]
    for name in METRICS:
        values = [run[name] for run in row["runs"]]
        assert statistics.fmean(values) == row[name]
        assert statistics.stdev(values) == row["deviation"][name] > 0


def test_every_run_keeps_how_it_came_about(board):
    """Time, memory, a curve of as many points as epochs, the hashes of settings, data and code, and its files."""
    row = row_of(board[0], "sasrec")

    for run in row["runs"]:
        assert run["epochs"] == len(run["curves"])
        assert {"loss", "ndcg@10", "hr@10", "seconds"} <= run["curves"][0].keys()
        assert run["seconds"] > 0
        assert run["peak_memory_bytes"] > 10_000_000
        assert (board[1] / run["ranks"]).is_file()
        assert (board[1] / run["checkpoint"]).is_file()
    assert all(64 == len(name) for name in (row["config_sha256"], row["data_sha256"], board[0].code_sha256))


def test_a_model_that_draws_nothing_has_one_run(board):
    """Popularity is the same whatever the seed: it is counted once and deviates from nothing."""
    row = row_of(board[0], "popularity")

    assert [0] == row["seeds"]
    assert {} == row["deviation"]


def test_the_deviation_stands_beside_the_mean(board):
    """In the Markdown, to four places."""
    row = row_of(board[0], "sasrec")

    assert f"{row['hr@10']:.4f} ± {row['deviation']['hr@10']:.4f}" in board[0].to_markdown()
    assert board[0].rows == orjson.loads((board[1] / "leaderboard.json").read_bytes())["rows"]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_that_make_no_sample_are_refused(small_release, seeds):
    """None, or one that counts twice."""
    with pytest.raises(RecipeError, match="the seeds are"):
        run_benchmark(small_release, seeds=seeds)


def test_a_lack_of_memory_names_what_to_lower(small_release):
    """A table that no machine holds ends in the names of the settings that made it."""
    sizes = QUICK | {"width": 10_000_000_000}
    with pytest.raises(MicrolensError, match="out of memory while training with batch_size=256 and width=1") as caught:
        run_benchmark(small_release, ["sasrec"], overrides=sizes, device="cpu")

    assert "lower batch_size or width, as with --set batch_size=128" in caught.value.hint


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    """What is no lack of memory stays what it is."""
    with pytest.raises(RuntimeError, match="shapes"), names_what_to_lower("training", Settings()):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(("doing", "first"), [("training", "batch_size"), ("ranking", "chunk_scores")])
def test_a_gpu_without_memory_is_told_alike(doing, first):
    """CUDA's error becomes the same message, which names the chunk where an evaluation was too large."""
    with pytest.raises(MicrolensError, match=f"while {doing} with {first}=") as caught:  # noqa: SIM117
        with names_what_to_lower(doing, Settings()):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    assert f"--set {first}=" in caught.value.hint

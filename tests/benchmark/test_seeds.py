import statistics

import orjson
import pytest
import torch

from benchmark.leaderboard import METRICS
from benchmark.memory import names_what_to_lower, tells_lack_of_memory
from benchmark.models import MODELS
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
    with pytest.raises(RuntimeError, match="shapes"), tells_lack_of_memory("training"):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(
    ("model", "doing", "names"),
    [
        ("sasrec", "training", ["batch_size", "width"]),
        ("sasrec", "ranking", ["chunk_scores", "width"]),
        ("itemknn", "training", ["neighbours"]),
        ("itemknn", "ranking", ["chunk_scores", "neighbours"]),
        ("ease", "ranking", ["chunk_scores"]),
    ],
)
def test_a_gpu_without_memory_is_told_alike(model, doing, names):
    """CUDA's error becomes the same message, which names the settings that matter to this model and to what it does."""
    entry, settings = MODELS[model], Settings()
    sizes = {"training": entry.sizes_of_training, "ranking": entry.sizes_of_ranking}[doing]
    with pytest.raises(MicrolensError, match=f"while {doing} with {names[0]}=") as caught:  # noqa: SIM117
        with names_what_to_lower(doing, settings, sizes):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    half = getattr(settings, names[0]) // 2
    assert f"lower {' or '.join(names)}, as with --set {names[0]}={half}" == caught.value.hint


@pytest.mark.parametrize("model", ["ease", "popularity"])
def test_a_model_without_sizes_is_told_to_take_less_data(model):
    """No setting makes it smaller; Python's own error, which says nothing, has words too."""
    with pytest.raises(MicrolensError, match="while training: the system has none left") as caught:  # noqa: SIM117
        with names_what_to_lower("training", Settings(), MODELS[model].sizes_of_training):
            raise MemoryError

    assert "--warm 20" in caught.value.hint


def test_every_size_is_a_setting():
    """What a model of the registry names can be lowered with --set: a whole number."""
    assert {int} == {type(getattr(Settings(), name)) for entry in MODELS.values() for name in entry.sizes}


def test_a_split_without_room_is_told(small_release):
    """Histories that no machine holds: the error says what to do, and is no bug."""
    with pytest.raises(MicrolensError, match="out of memory while reading and splitting the release") as caught:
        run_benchmark(small_release, ["popularity"], overrides={"keep_interactions": 10**12}, device="cpu")

    assert "--device cpu" in caught.value.hint

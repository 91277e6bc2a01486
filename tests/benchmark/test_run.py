import hashlib
import math
from io import StringIO

import numpy as np
import orjson
import pytest
import torch
from rich.console import Console

from benchmark import run
from benchmark.feature_import import import_features
from benchmark.metrics import hit_rate, standard_error
from benchmark.protocol import Protocol
from benchmark.read_results import read_result
from benchmark.recommend import load_trained
from benchmark.reports.sections import make_report
from benchmark.run import run_benchmark
from benchmark.train import DivergedError
from microlens.errors import NotReadyError, RecipeError

QUICK = {"width": 16, "blocks": 1, "epochs": 2}
ONE_THREAD = {"threads": 1}  # two of them wait for each other where tests run side by side
COLUMNS = {"model", "hr@10", "ndcg@10", "hr@20", "ndcg@20", "users", "items", "seeds", "seconds", "parameters", "runs"}


def hits(leaderboard):
    return [hit_rate(leaderboard.ranks[model], 10) for model in ("popularity", "sasrec")]


@pytest.mark.slow
def test_sasrec_finds_tastes(tmp_path, make_world, write_release):
    """Where users have tastes, SASRec hits at least twice as often as popularity."""
    release = write_release(tmp_path / "toy", make_world(users=1_200))
    leaderboard = run_benchmark(release, device="cpu", overrides=ONE_THREAD)
    popularity, sasrec = hits(leaderboard)

    assert float(sasrec.mean()) >= 2 * float(popularity.mean())
    assert leaderboard.rows[0]["model"] == "sasrec"


def test_sasrec_is_popularity_where_there_is_nothing_else(tmp_path, make_world, write_release):
    """Items dealt out at random hold no taste and no order: SASRec hits as often, within two standard deviations."""
    world = make_world(has_tastes=False)
    popularity, sasrec = hits(run_benchmark(write_release(tmp_path / "toy", world), device="cpu", overrides=ONE_THREAD))
    difference = sasrec - popularity

    assert abs(float(difference.mean())) <= 2 * standard_error(difference)
    assert float(popularity.mean()) > 10 / 200  # popularity itself beats chance: there was something to lose


def test_two_runs_of_one_seed_have_the_same_rows(small_release, without_clock):
    """But for seconds and memory, nothing differs; another seed does."""
    first, second, other = (
        without_clock(run_benchmark(small_release, seeds=[seed], overrides=QUICK).rows) for seed in (0, 0, 1)
    )

    assert first == second
    assert first != other


def test_the_paper_preset_trains(small_release):
    """Post-LN, a bare dot product and the frequency correction run as well, here at a laptop's width."""
    row = run_benchmark(small_release, ["sasrec"], preset="paper", overrides=QUICK).rows[0]

    assert 2 == row["epochs"]
    assert 0 < row["hr@10"] <= row["hr@20"] <= 1


def test_the_caller_keeps_its_random_numbers_and_threads(small_release):
    """A benchmark neither reseeds torch nor leaves it on another number of threads."""
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)

    run_benchmark(small_release, overrides=QUICK | {"threads": 1}, device="cpu")

    assert expected == torch.rand(1)
    assert threads == torch.get_num_threads()


def test_progress_hears_each_epoch_of_what_learns(small_release):
    """Events come in order; an epoch has its number, its loss and its validation metrics."""
    heard = []
    run_benchmark(small_release, overrides=QUICK, progress=lambda event, facts: heard.append((event, facts)))
    heard = [(event, facts) for event, facts in heard if event != "step"]  # a machine that is busy takes seconds

    assert ["model_started", "model_finished", "model_started", "epoch", "epoch", "model_finished"] == [
        event for event, _ in heard
    ]
    assert {"model": "sasrec", "epoch": 1, "epochs": 2}.items() <= heard[3][1].items()
    assert {"loss", "hr@10", "ndcg@10", "seconds", "best_epoch"} <= heard[3][1].keys()


def test_a_model_that_no_epoch_made_better_is_told(small_release, tmp_path):
    """Its row is that of the weights it was built with: leaderboard and report say so, and of no other."""
    still = run_benchmark(small_release, overrides=QUICK | {"learning_rate": 1e-30}, out=tmp_path / "still")
    moved = run_benchmark(small_release, overrides=QUICK, out=tmp_path / "moved")
    report = make_report([read_result(tmp_path / "still")])

    assert "sasrec (seed 0): no epoch was better" in still.to_markdown()
    assert "tested untrained" in still.to_table().caption
    assert "popularity (seed" not in still.to_markdown()
    assert any("sasrec (seed 0)" in note for section in report.sections for note in section.notes)
    assert "untrained" not in moved.to_markdown()


def test_features_too_narrow_are_told_before_anything_is_trained(make_world, write_release, tmp_path):
    """AlphaFuse keeps half of the width of them: hours of the other models are not lost to it."""
    release = write_release(tmp_path / "toy", make_world(users=100))
    np.save(tmp_path / "narrow.npy", np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32))
    import_features(release, tmp_path / "narrow.npy", "narrow")
    heard = []

    with pytest.raises(RecipeError, match="width / 2 = 8 directions of features that have only 4"):
        run_benchmark(
            release,
            ["sasrec", "alphafuse"],
            overrides=QUICK | {"features": "narrow"},
            progress=lambda *told: heard.append(told),
        )
    assert [] == heard


def test_reports_are_written_whole(small_release, tmp_path):
    """Markdown and JSON lie in the folder, nothing unfinished beside them, and the JSON says how it came about."""
    leaderboard = run_benchmark(small_release, overrides=QUICK, out=tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    written = orjson.loads((folder / "leaderboard.json").read_bytes())

    assert [".lock", "leaderboard.json", "leaderboard.md", "models", "ranks"] == sorted(
        path.name for path in folder.iterdir()
    )
    assert leaderboard.rows == written["rows"]
    assert COLUMNS | {"epochs", "best_epoch", "standard_error_hr@10"} <= written["rows"][0].keys()
    assert hashlib.sha256(b'{"name": "toy"}\n').hexdigest() == written["manifest_sha256"]
    assert (300, 200, 0) == tuple(written["protocol"][name] for name in ("users", "items", "users_skipped"))
    assert "whole history masked" in written["protocol"]["ranking"]
    assert {"preset": "default", "seeds": [0], "changes": QUICK} == written["settings"]
    assert "settings: preset=default, seeds=[0], width=16" in (folder / "leaderboard.md").read_text()
    assert [None, 16] == [row["settings"].get("width") for row in written["rows"]]  # Popularity reads none


def test_the_markdown_has_a_line_for_each_model(small_release, tmp_path):
    """Title, one row per model, protocol and the manifest's hash are there to be read."""
    run_benchmark(small_release, overrides=QUICK, out=tmp_path)
    text = (tmp_path / "leaderboard.md").read_text(encoding="utf-8")

    assert text.startswith("# Leaderboard of Toy-300\n\n| model | HR@10 | NDCG@10 |")
    assert 1 == text.count("\n| sasrec |") == text.count("\n| popularity |")
    assert "leave-one-out" in text
    assert hashlib.sha256(b'{"name": "toy"}\n').hexdigest() in text


def test_the_terminal_table_has_every_model(small_release):
    """The table is rich's own, so a terminal, a pipe and a page can show it."""
    shown = StringIO()
    Console(file=shown, width=160).print(run_benchmark(small_release, ["popularity"]).to_table())

    assert "popularity" in shown.getvalue()
    assert "HR@10" in shown.getvalue()


def test_the_standard_error_is_that_of_the_hits(small_release):
    """It is the deviation of hits over the root of users, and below one half of that root."""
    leaderboard = run_benchmark(small_release, ["popularity"])
    values = hit_rate(leaderboard.ranks["popularity"], 10)

    assert standard_error(values) == leaderboard.rows[0]["standard_error_hr@10"]
    assert leaderboard.rows[0]["standard_error_hr@10"] <= 0.5 / math.sqrt(300)


def test_an_unknown_model_is_named_with_the_nearest(small_release):
    """Nothing is read or trained before the name is known."""
    with pytest.raises(RecipeError) as caught:
        run_benchmark(small_release, ["sasrek"])

    assert "'sasrek'" in caught.value.message
    assert "did you mean 'sasrec'" in caught.value.hint


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_an_unusable_device_is_named_with_a_way_out(small_release, device):
    """A device that torch does not know, or this machine does not have, is an option that cannot be used."""
    with pytest.raises(RecipeError, match=device) as caught:
        run_benchmark(small_release, device=device)

    assert "cpu" in caught.value.hint


def test_a_folder_that_is_no_release_is_not_ready(tmp_path):
    """The path and the command to run stand in the message."""
    with pytest.raises(NotReadyError, match="microlens-build subset"):
        run_benchmark(tmp_path / "nowhere")


def with_too_large_steps(folder, *models):
    """A preset by which these models diverge in their first epoch."""
    path = folder / "steep.yaml"
    lines = [f"{model}: {{learning_rate: 1.0e+30}}" for model in models]
    path.write_text("\n".join(["every_model: {width: 8, epochs: 2, batch_size: 64}", *lines]) + "\n")
    return str(path)


def test_a_model_that_fails_costs_no_other_its_row(small_release, tmp_path):
    """The others are trained and written; then the error says whose it is, and where those stand."""
    models, heard = ["sasrec", "popularity", "dssm", "gru4rec"], []
    preset, out = with_too_large_steps(tmp_path, "sasrec", "dssm"), tmp_path / "out"
    with pytest.raises(DivergedError, match="sasrec, seed 0: training diverged") as caught:
        run_benchmark(small_release, models, preset=preset, out=out, progress=lambda *told: heard.append(told))
    board = orjson.loads((out / "leaderboard.json").read_bytes())

    assert {"gru4rec", "popularity"} == {row["model"] for row in board["rows"]}
    assert ["sasrec", "dssm"] == list(board["failed"])
    assert "- no row of dssm, seed 0: training diverged" in (out / "leaderboard.md").read_text()
    assert ["sasrec", "dssm"] == [facts["model"] for event, facts in heard if event == "model_failed"]
    assert "dssm failed as well" in caught.value.hint
    assert str(out / "leaderboard.md") in caught.value.hint
    assert "--set learning_rate" in caught.value.hint


def test_a_model_that_fails_is_left_out_where_someone_hears_of_it(small_release, tmp_path):
    """As one that cannot be run from the first; and too few that are left are told."""
    preset, left_out = with_too_large_steps(tmp_path, "sasrec"), {}
    choices = {"preset": preset, "out": tmp_path / "out", "leave_out": left_out.__setitem__}
    board = run_benchmark(small_release, ["popularity", "sasrec"], fewest=1, **choices)

    assert ["popularity"] == [row["model"] for row in board.rows]
    assert "training diverged" in left_out["sasrec"].message
    with pytest.raises(NotReadyError, match="1 of the models can be run"):
        run_benchmark(small_release, ["popularity", "sasrec"], fewest=2, **choices)


def test_less_memory_for_ranking_trains_nothing_anew(small_release, tmp_path):
    """What is advised where an evaluation has no room takes up what is there; with another seed it is one row."""
    heard = []
    for chunk_scores, seeds in ((4_000_000, [0]), (1_000, [0, 1])):
        board = run_benchmark(
            small_release,
            ["sasrec"],
            seeds=seeds,
            overrides=QUICK | {"chunk_scores": chunk_scores},
            out=tmp_path,
            progress=lambda event, facts: heard.append((event, facts["seed"])),
        )

    assert ("model_known", 0) in heard
    assert [0, 1] == board.rows[0]["seeds"]
    assert 2 == len(list((tmp_path / "models").iterdir()))
    assert 1_000 == load_trained(tmp_path / board.rows[0]["runs"][1]["checkpoint"]).settings.chunk_scores


def test_a_failure_tells_its_seed(small_release, tmp_path, monkeypatch):
    """And a seed before it that came to its end makes no row of fewer seeds."""
    heard, usual = [], run.run_model

    def fails_later(*arguments, seed, **named):
        if seed == 1:
            raise DivergedError("training diverged", hint="lower learning_rate")
        return usual(*arguments, seed=seed, **named)

    monkeypatch.setattr(run, "run_model", fails_later)
    with pytest.raises(DivergedError, match="sasrec, seed 1: training diverged"):
        run_benchmark(
            small_release,
            ["sasrec", "popularity"],
            seeds=[0, 1],
            overrides=QUICK,
            out=tmp_path,
            progress=lambda event, facts: heard.append((event, facts["seed"])),
        )

    assert ("model_failed", 1) in heard
    assert ["popularity"] == [
        row["model"] for row in orjson.loads((tmp_path / "leaderboard.json").read_bytes())["rows"]
    ]


def test_a_failure_is_heard_of_where_nothing_is_kept(small_release, tmp_path):
    """Without a folder, too, who hears of what is left out has the other rows; else it ends at once."""
    preset, left_out = with_too_large_steps(tmp_path, "sasrec"), {}
    models = ["popularity", "sasrec"]
    board = run_benchmark(small_release, models, preset=preset, leave_out=left_out.__setitem__)

    assert (["popularity"], ["sasrec"]) == ([row["model"] for row in board.rows], list(left_out))
    with pytest.raises(DivergedError):
        run_benchmark(small_release, models, preset=preset)


def models_of(folder):
    return [row["model"] for row in orjson.loads((folder / "leaderboard.json").read_bytes())["rows"]]


def test_models_of_several_commands_stand_beside_each_other(small_release, tmp_path):
    """Best first, each once, while nothing else differs; else the leaderboard is of the last command."""
    for models in (["popularity"], ["itemknn"], ["itemknn"]):
        board = run_benchmark(small_release, models, out=tmp_path)

        assert models_of(tmp_path) == [row["model"] for row in board.rows]
    assert ["itemknn", "popularity"] == models_of(tmp_path)
    assert "| popularity |" in (tmp_path / "leaderboard.md").read_text()
    for difference in ({"overrides": {"recency": 0.5}}, {"seeds": [1]}, {"protocol": Protocol(warm=2)}):
        run_benchmark(small_release, ["popularity"], out=tmp_path)
        run_benchmark(small_release, ["itemknn"], out=tmp_path, **difference)

        assert ["itemknn"] == models_of(tmp_path)


def test_a_row_of_features_that_were_made_anew_is_gone(make_world, write_release, tmp_path):
    """It would stand beside rows of others, under the same name."""
    release, out = write_release(tmp_path / "Toy", make_world(users=60)), tmp_path / "out"
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    models = (["sasrec_id_v"], ["popularity"])
    for number in (0, 1):
        np.save(tmp_path / f"{number}.npy", rows + number)
        import_features(release, tmp_path / f"{number}.npy", "videomae")
        for asked in models[number:]:
            run_benchmark(release, asked, overrides=QUICK, out=out)

        assert [["sasrec_id_v", "popularity"], ["popularity"]][number] == sorted(models_of(out), reverse=True)


def test_a_damaged_leaderboard_gives_no_rows(small_release, tmp_path):
    """It is written anew."""
    for damaged in (b"", b"[]", b"{}", b'{"rows": [{}]}'):
        (tmp_path / "leaderboard.json").write_bytes(damaged)
        run_benchmark(small_release, ["popularity"], out=tmp_path)

        assert ["popularity"] == models_of(tmp_path)

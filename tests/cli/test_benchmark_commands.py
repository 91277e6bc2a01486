"""`benchmark`, `benchmark compare`, `benchmark report`, `reproduce` and `tune`, as they are typed."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from microlens.cli import app
from microlens.errors import NotReadyError, RecipeError

QUICK = ("--set", "width=16", "--set", "epochs=1", "--set", "threads=1", "--device", "cpu")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """60 users, 30 items, five interactions each, an hour apart."""
    folder = tmp_path_factory.mktemp("made") / "Tiny"
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    item = np.concatenate([rng.permutation(30)[:5] + 1 for _ in range(60)])
    columns = {
        "user_id": pa.array(np.repeat(np.arange(1, 61), 5), pa.int32()),
        "item_id": pa.array(item, pa.int32()),
        "position": pa.array(np.tile(np.arange(5), 60), pa.int32()),
        "timestamp_ms": pa.array(
            np.tile(np.arange(5), 60) * 3_600_000 + np.repeat(np.arange(60), 5) * 600_000, pa.int64()
        ),
    }
    pq.write_table(pa.table(columns), folder / "data" / "interactions.parquet")
    pq.write_table(pa.table({"item_id": pa.array(range(1, 31), pa.int32())}), folder / "data" / "items.parquet")
    (folder / "_manifest.json").write_bytes(b"{}\n")
    return folder


def call(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)

    assert 0 == done.exit_code, done.output
    return done.stdout


@pytest.fixture(scope="module")
def results(release, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    call("benchmark", release, "--seeds", "0,1", *QUICK, "--out", out)
    return out


def test_a_comparison_is_told_in_words_and_as_json(results):
    """Means, differences, intervals and groups; one JSON object with --json."""
    pair = (f"{results}:popularity", f"{results}:sasrec")
    words = call("benchmark", "compare", *pair, "--resamples", "200")
    [told] = json.loads(call("benchmark", "compare", *pair, "--resamples", "200", "--json"))["comparisons"]

    assert "60 users, drawn anew 200 times" in words
    assert "HR@10 by how often the target was met in training" in words
    assert ["hr@10", "ndcg@10"] == [one["metric"] for one in told["differences"]]
    assert 60 == sum(group["users"] for group in told["groups"])


def test_other_protocols_have_folders_and_do_not_compare(release, results, tmp_path, monkeypatch):
    """Without --out a temporal split goes beside the usual result, not over it; the two are not compared."""
    monkeypatch.chdir(tmp_path)
    call("benchmark", release, "--models", "popularity", "--split", "temporal", "--cuts", "0.5,0.8", *QUICK)
    temporal = tmp_path / "results" / "Tiny" / "temporal"

    assert (temporal / "leaderboard.json").is_file()
    with pytest.raises(RecipeError, match="their asked is leave-one-out and temporal"):
        call("benchmark", "compare", results, temporal)


def test_a_report_lies_where_it_is_wanted(results, tmp_path):
    """Its three files are named on standard output."""
    written = call("benchmark", "report", results, "--out", tmp_path / "report", "--tables", "2,9").splitlines()

    assert [str(tmp_path / "report" / f"report.{form}") for form in ("md", "html", "tex")] == written
    assert "MicroLens-1M" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_table_is_reproduced_again_from_its_checkpoints(release, tmp_path):
    """A second call trains nothing, and tells the same rows that could not be run."""
    command = ("reproduce", "table11", release, "--preset", "default", "--seeds", "0", "--models", "sasrec", *QUICK)
    first = json.loads(call(*command, "--out", tmp_path, "--json"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    second = json.loads(call(*command, "--out", tmp_path, "--json"))

    assert first == second
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}


def test_what_is_no_result_ends_with_what_to_run(tmp_path):
    """The folder and the command stand in the message."""
    with pytest.raises(NotReadyError, match="microlens-build benchmark RELEASE"):
        call("benchmark", "report", tmp_path)


def test_what_was_tuned_is_taken_by_a_benchmark_and_told_in_its_report(release, tmp_path):
    """The preset's path goes into --preset; the number of configurations stands in leaderboard and report."""
    tuned = json.loads(
        call("tune", release, "--try", "width=8,16", *QUICK[2:], "-n", "2", "--out", tmp_path / "tune", "--json")
    )
    board = json.loads(
        call("benchmark", release, "--preset", tmp_path / "tune" / "tuned.yaml", "--out", tmp_path, "--json")
    )
    call("benchmark", "report", tmp_path)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    words = next(line for line in report.splitlines() if line.startswith("| sasrec |"))

    assert ["chosen", "finished"] == [row["state"] for row in tuned["configurations"]]
    assert {"popularity": 0, "sasrec": 2} == {row["model"]: row["configurations_tried"] for row in board["rows"]}
    assert tuned["chosen"]["sasrec"]["width"] == next(
        row["settings"]["width"] for row in board["rows"] if row["model"] == "sasrec"
    )
    assert "| tried |" in report
    assert "2" == words.split(" | ")[6]


def test_a_search_tells_its_table(release, tmp_path, monkeypatch):
    """A line a configuration on standard output; without --out the files lie beside the usual results."""
    monkeypatch.chdir(tmp_path)
    table = call("tune", release, "--models", "ease", "--try", "ridge=1,10,100", "--set", "threads=1", "-n", "1")

    assert 3 == sum("ridge=" in line for line in table.splitlines())
    assert (tmp_path / "results" / "Tiny" / "tune" / "tuned.yaml").is_file()

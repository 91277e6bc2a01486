"""`microlens-build import`: foreign files, to a release, to a row of the benchmark; each in a process of its own."""

import json

import pytest

import microlens
from benchmark.run import run_benchmark
from tests.cli.test_exit_codes import assert_refused
from tests.integration.importing import ORDERED, folder_of, microlens_csv, microlens_tsv, ms, recbole_inter, s3rec_txt

SOURCES = {
    "microlens": {
        "Tiny_pairs__csv": microlens_csv(),
        "Tiny_pairs__tsv": microlens_tsv(ORDERED),
        "Tiny_title_en__csv": "1, a title, with commas #One # Two\n2,\n3,three\n",
        "Tiny_likes_and_views__txt": "1\t5\t50\n2\t9\t3\n3\t1\t2\n",
        "Tiny_duration__txt": "1,7.5\n2,60\n3,12\n",
        "Tiny_comment_en__txt": "1\t3\tnice, is it?\n3\t2\tnot\tbad\n",
        "tags_to_summary__csv": "1,Comedy\n3,Food, and drink\n",
    },
    "recbole": {
        "tiny__inter": recbole_inter(),
        "tiny__item": "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tOne\tA B\n2\tTwo\t\n3\tThree\tB\n",
        "tiny__user": "user_id:token\tgender:token\n1\tF\n2\tM\n3\t\n",
    },
    "s3rec": {"Tiny__txt": s3rec_txt(ORDERED), "Tiny_item2attributes__json": {"1": [1, 2], "2": [], "3": [2]}},
}


@pytest.mark.parametrize("form", SOURCES)
def test_foreign_files_become_a_row_of_the_benchmark(cli, tmp_path, form):
    """Imported, read by the loader, checked against its manifest, ranked."""
    source = folder_of(tmp_path / "source", **SOURCES[form])
    done = cli("import", "--format", form, str(source), "releases/tiny", "--json")

    assert 0 == done.returncode, done.stderr
    assert json.loads(done.stdout)["is_new"]
    dataset = microlens.load(tmp_path / "releases" / "tiny")
    dataset.verify()
    assert [3, 3, 9] == [dataset.manifest.counters[name] for name in ("users", "items", "interactions")]
    assert [item for user in (1, 2, 3) for item in ORDERED[user]] == dataset.pairs["item_id"].to_pylist()
    times = [None] * 3 if form == "s3rec" else [ms(1), ms(2), ms(3)]
    assert times == dataset.pairs["timestamp_ms"].to_pylist()[:3]
    assert ["1", "2", "3"] == dataset.imported_items["original_id"].to_pylist()
    assert ["popularity"] == [row["model"] for row in run_benchmark(dataset.path, ["popularity"]).rows]


def test_the_same_command_again_does_nothing(cli, tmp_path):
    """What was imported is ranked by the command that ranks our own releases, and stands as it is."""
    arguments = ["import", "--format", "s3rec", str(folder_of(tmp_path / "source", **SOURCES["s3rec"])), "tiny"]
    cli(*arguments)
    again, ranked = cli(*arguments, "--json"), cli("benchmark", "tiny", "--models", "popularity", "--json")

    assert not json.loads(again.stdout)["is_new"]
    assert ["popularity"] == [row["model"] for row in json.loads(ranked.stdout)["rows"]]


def test_what_is_told_of_items_is_joined(cli, tmp_path):
    """Titles, hashtags, counts, durations, categories, and texts of comments are those of the files."""
    cli("import", "--format", "microlens", str(folder_of(tmp_path / "source", **SOURCES["microlens"])), "tiny")
    dataset = microlens.load(tmp_path / "tiny")
    items = dataset.items.to_pylist()

    assert ["a title, with commas #One # Two", "", "three"] == [item["title"] for item in items]
    assert [["one", "two"], [], []] == [item["tags"] for item in items]
    assert [5, 9, 1] == [item["like_count"] for item in items]
    assert [False, True, False] == [item["has_more_likes_than_views"] for item in items]
    assert [7.5, 60.0, 12.0] == [item["duration_s"] for item in items]
    assert ["Comedy", None, "Food, and drink"] == [item["category"] for item in items]
    assert [(1, 3, "nice, is it?"), (3, 2, "not\tbad")] == [tuple(row.values()) for row in dataset.comments.to_pylist()]
    assert 1 == dataset.manifest.counters["imported"]["items_without_title"]
    assert ["Tiny_pairs.tsv"] == dataset.manifest.counters["imported"]["files_left_out"]


def test_gender_is_taken_if_asked_for(cli, tmp_path):
    """Without the option it is left out, and named among what is."""
    source = str(folder_of(tmp_path / "source", **SOURCES["recbole"]))
    for release, more in (("with", ["--gender"]), ("without", [])):
        cli("import", "--format", "recbole", source, release, *more)
    one, other = (microlens.load(tmp_path / release) for release in ("with", "without"))

    assert ["F", "M", None] == one.users["gender"].to_pylist()
    assert [None, None, None] == other.users["gender"].to_pylist()
    assert ["tiny.user: gender"] == other.manifest.counters["imported"]["columns_left_out"]


def test_a_wrong_line_ends_with_8(cli, tmp_path):
    """The file, the line, the value and what to do; no folder is left behind."""
    source = folder_of(tmp_path / "source", Tiny_pairs__csv=microlens_csv() + "4,x7,1650000000000\n")

    done = cli("import", "--format", "microlens", str(source), "out/tiny")
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("microlens-build: ")]

    assert 8 == done.returncode
    assert told.endswith("Tiny_pairs.csv, line 11: the item is not a whole number of 0 or more: 'x7'")
    assert "mend or take out that line" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "recboel", "source", "out"], ["'recboel'", "recbole"]),
        (["--format", "recbole", "nowhere", "out"], ["nowhere", "name the folder"]),
        (["--format", "recbole", "source", "out"], ["NAME.inter", "Tiny_pairs.csv"]),
        (["--format", "microlens", "source", "source"], ["is there already", "not there yet"]),
        (["--format", "microlens", "--time-unit", "h", "source", "out"], ["'h'", "auto, s, ms"]),
        (["--format", "microlens", "--gender", "source", "out"], ["--gender", "leave them out"]),
    ],
)
def test_what_cannot_be_used_ends_with_2(cli, tmp_path, arguments, words):
    """Unknown formats and units, missing sources, and folders that hold something else."""
    folder_of(tmp_path / "source", Tiny_pairs__csv=microlens_csv())

    assert_refused(cli("import", *arguments), 2, *words)

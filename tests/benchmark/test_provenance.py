import ast
import shutil
from pathlib import Path

import pytest

from benchmark.data.side import Side
from benchmark.data.split import leave_one_out
from benchmark.models import MODELS
from benchmark.presets import load_preset
from benchmark.provenance import HOME, NO_RESULT_FOLLOWS_FROM, code_sha256, hashed_modules, read_by
from benchmark.settings import Settings

WORDS_ALONE = {
    ("run.py", "leaderboard.py"),  # how a leaderboard looks
    ("data/features.py", "encoders/__init__.py"),  # which command a message names
}
"""Imports of a module that is not hashed by one that is, which change no result."""


class Imports(ast.NodeVisitor):
    """Names that a module imports when it runs, wherever in it: not those for types alone."""

    def __init__(self):
        self.names = set()

    def visit_If(self, node):
        if getattr(node.test, "id", "") != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node):
        self.names |= {each.name for each in node.names}

    def visit_ImportFrom(self, node):
        self.names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}


def imported(path):
    """The benchmark's files that one of them imports; with a module its packages."""
    found = Imports()
    found.visit(ast.parse(path.read_text(encoding="utf-8")))
    places = [HOME.joinpath(*name.split(".")[1:]) for name in found.names if name.split(".")[0] == "benchmark"]
    files = {place.with_suffix(".py") for place in places} | {
        folder / "__init__.py" for place in places for folder in (place, place.parent)
    }
    return {file for file in files if file.is_file()}


def reached(path):
    """All that a module imports, directly or not, but for words."""
    found, new = set(), {path}
    while new:
        found |= new
        new = {
            other
            for file in new
            for other in imported(file)
            if (str(file.relative_to(HOME)), str(other.relative_to(HOME))) not in WORDS_ALONE
        } - found
    return found


def test_what_a_training_imports_is_hashed_and_nothing_else():
    """A module that `benchmark.run` reaches is hashed; one that it does not reach stands in the list of those left out.

    If this fails for a new module: name it in `NO_RESULT_FOLLOWS_FROM` if results do not follow from it.
    """
    assert {str(path.relative_to(HOME)) for path in reached(HOME / "run.py")} == {
        str(path.relative_to(HOME)) for path in hashed_modules()
    }


def test_what_is_left_out_is_there():
    """A module that was renamed is not left out under its old name."""
    assert all((HOME / name).exists() for name in NO_RESULT_FOLLOWS_FROM)


@pytest.mark.parametrize(
    ("edited", "is_new"),
    [("losses.py", True), ("models/new.py", True), ("reports/html.py", False), ("recommend.py", False)],
)
def test_an_edit_trains_anew_only_where_results_follow_from_it(tmp_path, edited, is_new):
    """A loss and a model that is added change the hash; a report and the lists of a trained model do not."""
    home = shutil.copytree(HOME, tmp_path / "benchmark", ignore=shutil.ignore_patterns("__pycache__"))
    with (home / edited).open("a", encoding="utf-8") as file:
        file.write("# edited\n")

    assert is_new == (code_sha256() != code_sha256(home))


def features_of(release, name="videomae"):
    folder = release / "features" / name
    folder.mkdir(parents=True)
    (folder / "_manifest.json").write_text("{}")


def test_features_that_are_made_later_change_the_data_of_who_reads_them(tmp_path, make_world, write_release):
    """What SASRec was trained on is still the same; SASRec with features has other inputs."""
    release = write_release(tmp_path / "Toy", make_world(users=30))
    before = {model: read_by(model, Settings(), release) for model in ("sasrec", "sasrec_id_v")}
    features_of(release)
    after = {model: read_by(model, Settings(), release) for model in before}

    assert before["sasrec"] == after["sasrec"]
    assert before["sasrec_id_v"] != after["sasrec_id_v"]
    assert 1 == len({one["data_sha256"] for one in (*before.values(), *after.values())})


def test_data_are_the_same_wherever_they_lie(tmp_path, monkeypatch, make_world, write_release):
    """A release that was moved and renamed, or is named as the current folder, is still that release."""
    one, other = (write_release(tmp_path / name, make_world(users=30)) for name in ("Toy", "Moved"))
    expected = read_by("sasrec", Settings(), one)
    monkeypatch.chdir(other)

    assert expected == read_by("sasrec", Settings(), other) == read_by("sasrec", Settings(), Path())


def test_a_table_that_changed_is_read_again(tmp_path, make_world, write_release):
    """Its hash is kept for as long as it is the same file."""
    release = write_release(tmp_path / "Toy", make_world(users=30))
    before = read_by("sasrec", Settings(), release)
    write_release(tmp_path / "Other", make_world(1, users=30))
    for table in (tmp_path / "Other" / "data").iterdir():
        table.replace(release / "data" / table.name)

    assert before != read_by("sasrec", Settings(), release)


class Listening(Side):
    """Remembers what it was asked for."""

    def __init__(self, *arguments, **given):
        super().__init__(*arguments, **given)
        self.asked = set()

    def features(self, name):
        self.asked.add("features")
        return super().features(name)

    def tags(self):
        self.asked.add("tags")
        return super().tags()


@pytest.mark.parametrize("model", MODELS)
def test_a_model_says_what_it_reads(model, make_world, make_side):
    """Else features that changed would leave its old results in place, and what lacks would be found after hours."""
    settings = load_preset("default", model, {"width": 8}, own=MODELS[model].settings)
    known = make_side(200)
    side = Listening(None, features={"videomae": known.features("videomae")}, tags=known.tags())
    MODELS[model].build(leave_one_out(make_world(users=30)), settings, side)
    before = Listening(None, features={"videomae": known.features("videomae")}, tags=known.tags())
    MODELS[model].read(before, settings)

    assert side.asked == before.asked
    assert MODELS[model].reads_features == ("features" in side.asked)

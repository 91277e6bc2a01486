"""A run: made once, opened again, guarded against another recipe and another key."""

import json
import subprocess
import sys

import pytest

from microlens.errors import KeyMismatchError, NotReadyError, RecipeError
from microlens.runs import find_run, list_runs, mark_used, open_or_create, open_run

KEY = "0f" * 32
OTHER = "f0" * 32


@pytest.fixture
def opened():
    """Closes the ledgers of the runs that a test opened."""
    runs = []

    def keep(run):
        run = run[0] if isinstance(run, tuple) else run
        runs.append(run)
        return run

    yield keep
    for run in runs:
        run.ledger.close()


@pytest.fixture
def demo(run_settings, make_recipe, opened):
    return opened(open_or_create(make_recipe(), run_settings()))


def test_a_run_is_made_in_a_folder_of_its_name(demo, run_settings, make_recipe):
    """A new run has its recipe, its ledger and its key on disk, and the ledger knows the key's fingerprint."""
    row = demo.ledger.run()

    assert run_settings().runs_dir / "demo" == demo.folder
    assert {"run.json", "recipe.yaml", "ledger.sqlite", "private"} <= {p.name for p in demo.folder.iterdir()}
    assert "demo" == json.loads((demo.folder / "run.json").read_text())["run_id"]
    assert make_recipe().to_yaml() == (demo.folder / "recipe.yaml").read_text() == row["recipe"]
    assert (make_recipe().sha256, demo.pseudonyms.fingerprint) == (row["recipe_sha256"], row["key_fingerprint"])


def test_a_run_is_opened_again(demo, run_settings, make_recipe, opened):
    """The same recipe finds its run, with the same key, and says that it was not made."""
    run, is_new = open_or_create(make_recipe(), run_settings())
    opened(run)

    assert not is_new
    assert demo.recipe == run.recipe
    assert demo.pseudonyms.user_key("a", "b") == run.pseudonyms.user_key("a", "b")


def test_two_runs_have_two_keys(demo, run_settings, make_recipe, opened):
    """A user of two runs has two pseudonyms: nobody can join the datasets."""
    other = opened(open_or_create(make_recipe(name="other"), run_settings()))

    assert demo.pseudonyms.fingerprint != other.pseudonyms.fingerprint


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("platform", "peertube"),
        ("instances", ["http://other.test"]),
        ("seed", 5),
        ("seeds", {"target": 9}),
        ("expansion", {"depth": 2}),
        ("comments", {"max_per_video": 9}),
        ("media", {"max_height": 9}),
    ],
)
def test_a_change_of_what_is_crawled_is_refused(demo, run_settings, make_recipe, section, change):
    """A recipe that would make another dataset of what is collected is an error that names the section."""
    with pytest.raises(RecipeError, match=f"was changed in {section} since its run began"):
        open_or_create(make_recipe(**{section: change}), run_settings())
    assert make_recipe().to_yaml() == demo.ledger.run()["recipe"] == (demo.folder / "recipe.yaml").read_text()


def test_all_other_changes_are_taken_over(demo, run_settings, make_recipe, opened):
    """Filters, politeness, releases and the benchmark may change while a run goes on; every copy is brought along."""
    recipe = make_recipe(
        filters={"min_title_characters": 9},
        politeness={"concurrency": 9},
        releases=[{"name": "small", "users": 10}],
        benchmark={"models": []},
        contact="you@example.org",
    )
    taken = opened(open_or_create(recipe, run_settings()))
    again = opened(find_run("demo", run_settings()))

    assert recipe == taken.recipe == again.recipe
    assert recipe.to_yaml() == (demo.folder / "recipe.yaml").read_text()
    assert recipe.sha256 == again.ledger.run()["recipe_sha256"]


def test_a_key_from_the_environment_is_the_runs(run_settings, make_recipe, opened):
    """A run made with a given key opens with that key, or with the copy that it kept."""
    made = opened(open_or_create(make_recipe(), run_settings(pseudonym_key=KEY)))
    for settings in (run_settings(), run_settings(pseudonym_key=KEY.upper())):
        assert made.pseudonyms.fingerprint == opened(find_run("demo", settings)).pseudonyms.fingerprint


def test_another_key_from_the_environment_is_refused(demo, run_settings, make_recipe):
    """A process with another MICROLENS_PSEUDONYM_KEY starts nothing."""
    for open_it in (
        lambda settings: find_run("demo", settings),
        lambda settings: open_or_create(make_recipe(), settings),
    ):
        with pytest.raises(KeyMismatchError, match="the run was created with"):
            open_it(run_settings(pseudonym_key=OTHER))


def test_a_key_never_shows_in_the_settings(run_settings):
    """Settings may be printed: the key is hidden."""
    assert KEY not in repr(run_settings(pseudonym_key=KEY))


def test_settings_that_cannot_be_used_are_an_error_of_ours(run_settings, monkeypatch):
    """A wrong environment variable is named with its value, and ends with exit code 2."""
    monkeypatch.setenv("MICROLENS_THREADS", "many")

    with pytest.raises(RecipeError, match="MICROLENS_THREADS = 'many'") as refused:
        run_settings()
    assert 2 == refused.value.exit_code


def test_the_latest_run_is_the_one_used_last(run_settings, make_recipe, opened):
    """Without a name the run used last is meant, not the one made last."""
    for name in ("a", "b", "c"):
        mark_used(opened(open_or_create(make_recipe(name=name), run_settings())))
    mark_used(opened(find_run("a", run_settings())))

    assert "a" == opened(find_run(None, run_settings())).run_id
    assert ["b", "c", "a"] == [path.name for path in list_runs(run_settings().runs_dir)]


def test_looking_at_a_run_does_not_use_it(run_settings, make_recipe, opened):
    """Opening a run by name leaves the order as it was."""
    for name in ("a", "b"):
        mark_used(opened(open_or_create(make_recipe(name=name), run_settings())))
    opened(find_run("a", run_settings()))

    assert "b" == opened(find_run(None, run_settings())).run_id


def test_a_run_is_found_by_name_or_by_folder(demo, run_settings, opened):
    """A run may be named, or given as the path of its folder."""
    assert [demo.folder] * 2 == [opened(find_run(n, run_settings())).folder for n in ("demo", str(demo.folder))]


def test_an_unknown_run_names_the_nearest(demo, run_settings):
    """A mistyped name is an error with exit code 3 that gives the nearest run, and all of them."""
    with pytest.raises(NotReadyError, match="did you mean 'demo'") as refused:
        find_run("dmo", run_settings())
    assert "name one of: demo" in refused.value.hint
    assert 3 == refused.value.exit_code
    assert not (run_settings().runs_dir / "dmo").exists()


@pytest.mark.parametrize("name", [None, "demo"])
def test_no_run_at_all_says_how_to_start_one(run_settings, name):
    """Where there is no run yet, the message gives the command that makes one."""
    with pytest.raises(NotReadyError) as refused:
        find_run(name, run_settings())
    assert "microlens-build run RECIPE" in refused.value.hint


def test_a_run_that_was_never_finished_being_made_is_made_anew(demo, run_settings, make_recipe, opened):
    """A crash before run.json was written leaves nothing that anybody used: the run is made again."""
    demo.ledger.close()
    (demo.folder / "run.json").unlink()
    run, is_new = open_or_create(make_recipe(seed=5), run_settings())
    opened(run)

    assert is_new
    assert 5 == run.recipe.seed
    assert demo.pseudonyms.fingerprint != run.pseudonyms.fingerprint
    assert run.pseudonyms.fingerprint == run.ledger.run()["key_fingerprint"]


def test_processes_that_start_together_make_one_run(run_settings, make_recipe):
    """Of many that open a new run at once one makes it, and all have its key and its ledger."""
    settings = run_settings()
    code = (
        "import sys; from pathlib import Path; from microlens.recipe import parse_recipe; "
        "from microlens.runs import open_or_create; from microlens.settings import Settings; "
        "run, is_new = open_or_create(parse_recipe(sys.argv[1]), Settings(runs_dir=Path(sys.argv[2]))); "
        "print(is_new, run.pseudonyms.fingerprint, run.ledger.run()['key_fingerprint'])"
    )
    command = [sys.executable, "-c", code, make_recipe().to_yaml(), str(settings.runs_dir)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=60)[0].split() for process in started]

    assert ["False", "False", "False", "True"] == sorted(is_new for is_new, _, _ in told)
    assert 1 == len({key for _, *keys in told for key in keys})


def test_an_empty_ledger_is_not_a_run(tmp_path, run_settings):
    """A folder whose ledger holds no run cannot be opened, and says to begin again."""
    folder = run_settings().runs_dir / "broken"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")

    with pytest.raises(NotReadyError, match="was never finished being made"):
        open_run(folder, run_settings())

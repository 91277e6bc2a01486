"""Where a run's ledger is: said once, when the run is made, and never mistaken for another's."""

import json
from contextlib import closing

import pytest

from microlens.cli.checks import check_machine
from microlens.errors import NotReadyError
from microlens.ledger_places import RunExistsError
from microlens.postgres import PostgresDatabase, PostgresSchema
from microlens.runs import find_run, open_or_create
from tests.postgres_server import PASSWORD


@pytest.fixture(scope="module")
def url(postgres):
    return postgres.new_database()


@pytest.fixture
def make(url, make_recipe, run_settings):
    """Makes or opens the run of a recipe, and closes its ledger; settings are named with their values."""

    def make(name, **values):
        settings = run_settings(**{"database_url": url, **values})
        run, is_new = open_or_create(make_recipe(name=name), settings)
        run.ledger.close()
        return run, is_new

    return make


def test_a_new_run_goes_where_the_settings_say(make):
    """With a database named the run's folder has no SQLite file, and its run.json names the schema."""
    run, is_new = make("one")
    again, is_again_new = make("one")

    assert (True, False) == (is_new, is_again_new)
    assert run.pseudonyms.fingerprint == again.pseudonyms.fingerprint
    assert "microlens_one" == json.loads((run.folder / "run.json").read_text())["schema"]
    assert not (run.folder / "ledger.sqlite").exists()


def test_runs_share_a_database_and_nothing_else(make, run_settings, url):
    """What one run commits is not the other's."""
    for name in ("left", "right"):
        make(name)
    opened = [find_run(name, run_settings(database_url=url)) for name in ("left", "right")]
    opened[0].ledger.finish_stage("crawl")
    finished = [run.ledger.is_stage_finished("crawl") for run in opened]
    for run in opened:
        run.ledger.close()

    assert [True, False] == finished


def test_a_run_stays_where_it_was_made(make, run_settings):
    """A run in its own folder stays there when a database is named; one in a database is not looked for elsewhere."""
    run, _ = make("local", database_url=None)
    make("local")
    make("remote")

    assert (run.folder / "ledger.sqlite").exists()
    with pytest.raises(NotReadyError, match="microlens_remote, and no database is named"):
        find_run("remote", run_settings())


def test_another_database_is_named(make, run_settings, postgres):
    """A database without the run's schema is told apart from a run that was never made, and stays as it is."""
    make("lost")

    with pytest.raises(NotReadyError, match="is not in this database"):
        find_run("lost", run_settings(database_url=postgres.url))
    with closing(PostgresDatabase(PostgresSchema.of("lost", postgres.url))) as database:
        assert not database.exists()


def test_a_run_of_the_same_name_elsewhere_is_safe(make, tmp_path):
    """A second folder does not take over, nor remove, the ledger of a run that was made in another."""
    run, _ = make("taken")

    with pytest.raises(RunExistsError, match="already holds a run 'taken'") as refused:
        make("taken", runs_dir=tmp_path / "others")
    assert 'DROP SCHEMA "microlens_taken" CASCADE' in refused.value.hint
    assert not make("taken")[1]
    assert run.folder.exists()


def test_a_run_that_was_never_finished_being_made_is_made_anew(make):
    """A crash before run.json was written leaves a schema that nobody used; its key in the folder shows whose it is."""
    first, _ = make("crashed")
    (first.folder / "run.json").unlink()
    second, is_new = make("crashed")

    assert is_new
    assert first.pseudonyms.fingerprint != second.pseudonyms.fingerprint


def test_doctor_tells_of_the_database(url, run_settings):
    """Where one is named it is tried, and told without its password; where none is, nothing is said."""
    told = {check.name: check for check in check_machine(run_settings(database_url=url))}
    wrong = {check.name: check for check in check_machine(run_settings(database_url=url.replace(PASSWORD, "hunter2")))}

    assert told["database"].is_fine
    assert PASSWORD not in repr(told)
    assert not wrong["database"].is_fine
    assert "database" not in {check.name for check in check_machine(run_settings())}

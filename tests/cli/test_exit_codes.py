"""An expected error is one plain message and its own exit code; a bug keeps its traceback."""

import sys

import pytest

from microlens import settings as settings_module
from microlens.cli import main
from microlens.cli.extras import install


def assert_refused(done, code, *words):
    """The exit code, a message that holds these words on standard error, and no traceback."""
    assert code == done.returncode, done.stderr
    assert done.stderr.startswith("microlens-build: ")
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "" == done.stdout


@pytest.mark.parametrize("command", ["run", "crawl"])
def test_a_wrong_recipe_is_2(cli, recipe_file, runs_dir, command):
    """A recipe that cannot be used ends with 2, names its mistakes, and begins nothing."""
    done = cli(command, recipe_file(contakt="x", seeds={"target": "many"}))

    assert_refused(done, 2, "unknown key 'contakt': did you mean 'contact'?", "seeds.target = 'many'")
    assert not runs_dir.exists()


def test_a_recipe_that_is_not_there_is_2(cli):
    """A mistyped path is named."""
    assert_refused(cli("run", "nowhere.yaml"), 2, "nowhere.yaml cannot be read: No such file")


def test_an_unknown_platform_names_those_there_are(cli, recipe_file):
    """A recipe for a site that no adapter knows ends with an expected error, not with a bug."""
    done = cli("run", recipe_file(platform="sandbx"))

    assert_refused(done, done.returncode, "sandbx", "sandbox")
    assert done.returncode not in {0, 70}


@pytest.mark.parametrize(
    "arguments", [["subset", "--users", "0"], ["nonsense"], ["work", "-n", "0"], ["status", "--no"]]
)
def test_a_wrong_option_is_2(cli, arguments):
    """An option that cannot be used ends with 2 and says so on standard error."""
    done = cli(*arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--channels", "2"], "no --from"),
        (["--ca-file", "ca.pem"], "no --from"),
        (["--gather", "--partial"], "--gather makes none"),
    ],
)
def test_an_option_that_would_do_nothing_is_2(cli, options, word):
    """Options of `integrate` that would be without effect are refused, and it is said why."""
    assert_refused(cli("integrate", *options), 2, word)


def test_a_wrong_environment_is_2(cli):
    """A variable that cannot be used is named with its value."""
    assert_refused(cli("status", MICROLENS_THREADS="many"), 2, "MICROLENS_THREADS = 'many'")


@pytest.mark.parametrize("command", ["status", "work", "integrate", "filter", "subset", "benchmark"])
def test_no_run_is_3(cli, runs_dir, command):
    """Where there is no run, a command says how to start one and makes no folder."""
    assert_refused(cli(command), 3, "there is no run", "microlens-build run RECIPE")
    assert not runs_dir.exists()


def test_an_unknown_run_is_3(cli):
    """A name without a run is repeated."""
    assert_refused(cli("status", "nobody"), 3, "nobody")


def test_a_redis_that_refuses_is_5(cli, recipe_file):
    """A Redis that does not answer is named, without its password, before anything is crawled."""
    done = cli("run", recipe_file(), MICROLENS_REDIS_URL="redis://:hunter2@127.0.0.1:1")

    assert_refused(done, 5, "redis://127.0.0.1:1", "MICROLENS_REDIS_URL")
    assert "hunter2" not in done.stderr


def call(monkeypatch, *arguments):
    """Run main() in this process; gives its exit code."""
    monkeypatch.setattr(sys, "argv", ["microlens-build", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def fail_with(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(settings_module, "Settings", fail)


def test_a_bug_is_70_with_its_traceback(monkeypatch, capsys):
    """An error that nobody expected is shown whole and asks for a report."""
    fail_with(monkeypatch, ZeroDivisionError("nobody expected this"))
    code = call(monkeypatch, "status")
    told = capsys.readouterr()

    assert (70, "") == (code, told.out)
    assert "Traceback" in told.err
    assert "ZeroDivisionError: nobody expected this" in told.err
    assert "this is a bug; please report it" in told.err


def test_a_place_that_cannot_be_used_is_2(here, recipe_file, runs_dir):
    """A file stands where a folder is to be made: it is named, and it is no bug."""
    runs_dir.write_text("mine")
    done = here("run", str(recipe_file()))

    assert 2 == done.returncode
    assert f"{runs_dir}" in done.stderr
    assert "cannot be read or written" in done.stderr
    assert "choose another place" in done.stderr
    assert "mine" == runs_dir.read_text()


def test_ctrl_c_is_130_and_says_how_to_go_on(monkeypatch, capsys):
    """A command that was interrupted says that the same command goes on, without a traceback."""
    fail_with(monkeypatch, KeyboardInterrupt)
    code = call(monkeypatch, "status")
    told = capsys.readouterr()

    assert (130, "") == (code, told.out)
    assert "stopped; run the same command again to go on" in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("torch", ["benchmark", "nowhere"], "bench"),
        ("torch", ["features", "nowhere"], "features"),
        ("scrapy", ["crawl", "RECIPE"], "crawl"),
    ],
)
def test_an_extra_that_is_not_installed_is_2(cli, tmp_path, recipe_file, missing, command, extra):  # noqa: PLR0917
    """A package that only this command needs is named with what brings it; that it is absent is no bug."""
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('no', name={missing!r})")
    done = cli(*(recipe_file() if word == "RECIPE" else word for word in command), PYTHONPATH=str(tmp_path))

    assert_refused(done, 2, missing, f"pip install 'microlens-build[{extra}]'")


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("av", "features", "features"),
        ("av", "work", "node"),
        ("regex", "integrate", "build"),
        ("regex", "work", "node"),
        ("duckdb", "work", "build"),
    ],
)
def test_an_extra_is_the_commands_own_where_several_bring_a_package(module, command, extra):
    """Not one that brings much else."""
    assert f"pip install 'microlens-build[{extra}]'" == install(module, command)


def test_a_part_of_a_package_that_is_not_there_is_a_bug():
    """As are modules of our own: nothing that can be installed is missing."""
    assert install("torch._C", "benchmark") is install("microlens.nowhere", "run") is install(None, "run") is None

"""What commands print: results on standard output, one JSON object with --json."""

import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from microlens.cli import checks
from microlens.cli.demo_site import demo_recipe
from microlens.cli.output import print_checks, print_leaderboard, print_result
from microlens.cli.pipeline import RunResult
from microlens.cli.reporter import Reporter
from microlens.cli.run_status import print_status
from microlens.host_ledger import Parking
from microlens.recipe import Recipe
from microlens.runs import open_or_create
from microlens.settings import Settings


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    """A run with nothing in it, as a folder that tests copy."""
    runs_dir = tmp_path_factory.mktemp("made") / "runs"
    recipe = {"name": "made", "platform": "sandbox", "instances": ["http://127.0.0.1:9"], "contact": "me@example.org"}
    run, _ = open_or_create(Recipe.model_validate(recipe), Settings(runs_dir=runs_dir, pseudonym_key=None))
    run.ledger.close()
    return run.folder


@pytest.fixture
def run_folder(made_run, runs_dir):
    return shutil.copytree(made_run, runs_dir / "made")


def one_object(text):
    """Standard output is exactly one line that is a JSON object."""
    lines = text.splitlines()

    assert 1 == len(lines)
    return json.loads(lines[0])


def test_doctor_finds_this_machine_fine(cli):
    """On a machine where the tests run, every check passes; --json is one object."""
    done = cli("doctor", "--json")
    found = one_object(done.stdout)

    assert 0 == done.returncode, done.stdout
    assert {"python", "redis", "ffmpeg", "disk", "runs folder"} <= {check["name"] for check in found["checks"]}
    assert all(check["is_fine"] for check in found["checks"])


def test_doctor_says_what_to_do(run_folder, capsys):
    """A check that fails has a hint, in words and in JSON, and takes no other check with it."""
    found = checks._redis(Settings(redis_url="redis://:hunter2@127.0.0.1:1"))
    print_checks([found], as_json=False)
    print_checks([found], as_json=True)
    words, line = capsys.readouterr().out.splitlines()

    assert not found.is_fine
    assert words.startswith("FAIL  redis")
    assert "start it" in words
    assert [False] == [check["is_fine"] for check in json.loads(line)["checks"]]
    assert "hunter2" not in words + line


def test_status_tells_of_a_new_run(cli, run_folder):
    """The status of a run with nothing in it is zeros, no funnel and no releases, as one JSON object."""
    done = cli("status", "--json")
    found = one_object(done.stdout)

    assert (0, "") == (done.returncode, done.stderr)
    assert ("made", str(run_folder), "sandbox", False) == tuple(
        found[name] for name in ("run", "folder", "platform", "crawl_finished")
    )
    assert {0} == set(found["progress"].values())
    assert ({}, None, []) == (found["failures"], found["funnel"], found["releases"])
    assert ({}, [], 0) == (found["given_up"], found["parked"], found["robots"]["fetches"])


def test_status_reads_well(cli, run_folder):
    """Without --json the same is lines of words, by name or by folder."""
    by_name, by_folder = cli("status", "made"), cli("status", str(run_folder))

    assert (0, 0) == (by_name.returncode, by_folder.returncode)
    assert by_name.stdout == by_folder.stdout
    assert "crawl      not finished" in by_name.stdout
    assert "failures   none" in by_name.stdout


def test_subset_before_integrate_is_3(cli, run_folder):
    """A release needs integrated tables: without them the command to run first is named."""
    done = cli("subset", "made", "--users", "5")

    assert (3, "") == (done.returncode, done.stdout)
    assert "integrate" in done.stderr
    assert not list(run_folder.glob("releases/*/_manifest.json"))


def test_integrate_before_crawl_is_3(cli, run_folder):
    """There is nothing to integrate before the crawl is finished, and the message says what to run."""
    done = cli("integrate", "made")

    assert (3, "") == (done.returncode, done.stdout)
    assert "microlens-build" in done.stderr


def test_benchmark_before_subset_is_3(cli, run_folder):
    """There is nothing to rank before a release is built."""
    done = cli("benchmark")

    assert (3, "") == (done.returncode, done.stdout)
    assert "microlens-build subset" in done.stderr


def test_another_key_is_7(cli, run_folder):
    """A process with another pseudonym key than the run's does nothing."""
    done = cli("status", MICROLENS_PSEUDONYM_KEY="ab" * 32)

    assert (7, "") == (done.returncode, done.stdout)
    assert "two keys would make two users of one" in done.stderr


def test_a_key_that_is_none_is_2(cli, run_folder):
    """A setting that is no key is told apart from another key, names its variable, and is not repeated."""
    done = cli("status", MICROLENS_PSEUDONYM_KEY="mysecretkey")

    assert (2, "") == (done.returncode, done.stdout)
    assert "MICROLENS_PSEUDONYM_KEY" in done.stderr
    assert "mysecretkey" not in done.stderr


# --- what is printed ---

FUNNEL = {
    "found": 1200,
    "fetched": 1100,
    "dropped": {"cover_plain": 70},
    "kept": 1030,
    "interactions": 54321,
    "users": 400,
}
COUNTS = {"users": 400, "items": 1030, "interactions": 54321, "sparsity": 0.98765, "tags": 12}
ROW = {"model": "sasrec", "hr@10": 0.123456, "ndcg@10": 0.1, "hr@20": 0.2, "ndcg@20": 0.15, "seconds": 3.5}


def result(**changes):
    release = {"name": "small", "path": "runs/x/releases/small", "counts": COUNTS, "leaderboard": [ROW]}
    return RunResult(
        **{"run": "x", "funnel": FUNNEL, "releases": [release], "did_anything": True, "seconds": 1.5, **changes}
    )


def test_a_result_reads_well(capsys):
    """A result shows the funnel with each reason, the release's counts and the leaderboard."""
    print_result(result(), as_json=False)
    told = capsys.readouterr().out

    assert "1,200" in told
    assert "cover_plain" in told
    assert "interactions 54,321" in told
    assert all(word in told for word in ("sasrec", "0.1235", "small"))
    assert "nothing to do" not in told


def test_a_result_without_work_says_so(capsys):
    """A run that had nothing to do says it first."""
    print_result(result(did_anything=False, releases=[]), as_json=False)

    assert capsys.readouterr().out.startswith("x: nothing to do")


def test_a_result_is_one_object(capsys):
    """With --json a result is one line."""
    print_result(result(), as_json=True)

    assert FUNNEL == one_object(capsys.readouterr().out)["funnel"]


def test_a_status_shows_funnel_and_releases(capsys):
    """The status of a built run shows its funnel and where its releases lie."""
    status = {"run": "x", "platform": "p", "folder": "f", "crawl_finished": True, "progress": {"pages": 5}}
    release = {"name": "small", "path": "runs/x/releases/small", **COUNTS}
    told = {"given_up": {"page": 2}, "robots": {"hosts": 3, "fetches": 4, "failed": 1}, "parked": []}
    told |= {
        "links": {"files": 3, "pages": 2},
        "failures": {"gone": 2},
        "samples": ["a", "b"],
        "funnel": FUNNEL,
        "releases": [release],
    }
    print_status(status | told, as_json=False)
    told = capsys.readouterr().out

    assert "crawl      finished" in told
    assert "links      3 files wait for fresh links: 2 pages are to be read again" in told
    assert "failures   gone 2" in told
    assert "given up   page 2" in told
    assert "robots.txt hosts 3  fetches 4  failed 1" in told
    assert "release    runs/x/releases/small: users 400  items 1,030  interactions 54,321" in told


def test_a_status_lists_parked_hosts(capsys):
    """Which host keeps silent, how, since how many tries, and when it is asked again."""
    status = {"run": "x", "platform": "p", "folder": "f", "crawl_finished": False, "progress": {}, "failures": {}}
    until_ms = 1_000 * int(datetime(2031, 5, 6, 7, 8, tzinfo=UTC).astimezone().timestamp())
    parked = [asdict(Parking("http://a.test", "timeout", until_ms, times)) for times in (1, 3)]
    told = {
        "links": {"files": 0},
        "given_up": {},
        "robots": {},
        "parked": parked,
        "samples": [],
        "funnel": None,
        "releases": [],
    }
    print_status(status | told, as_json=False)
    shown = capsys.readouterr().out
    until = datetime(2031, 5, 6, 7, 8, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M")

    assert f"parked     http://a.test: timeout, once, until {until}" in shown
    assert f"parked     http://a.test: timeout, 3 times in a row, until {until}" in shown


def test_a_leaderboard_is_a_table_or_an_object(capsys):
    """A leaderboard is printed as it prints itself."""

    class Board:
        def to_json(self):
            return b'{"rows": []}\n'

        def to_table(self):
            return "a table"

    for as_json in (True, False):
        print_leaderboard(Board(), as_json=as_json)

    assert ['{"rows": []}', "a table"] == capsys.readouterr().out.splitlines()


def test_progress_goes_to_standard_error(capsys):
    """Progress in a log is a plain line a stage, at once when the stage changes, and never standard output."""
    reporter = Reporter()
    for stage in ("crawl", "crawl", "download"):
        reporter.tick(stage, lambda: {"files": 1234, "is_done": True})
    reporter.done("download", {"files": 1234, "share": 0.123456})
    told = capsys.readouterr()

    assert "" == told.out
    assert ["crawl", "download", "download"] == [line.split("] ")[1].split(":")[0] for line in told.err.splitlines()]
    assert "files 1,234" in told.err
    assert "share 0.1235" in told.err
    assert "\x1b" not in told.err


def test_a_long_epoch_shows_its_steps(capsys):
    """Before an epoch ends there is a line with the steps of it that are done; a test has no epochs."""
    reporter, model = Reporter(), {"model": "sasrec", "seed": 0}
    reporter.training("step", {**model, "doing": "training", "done": 1_200, "of": 39_063, "epoch": 3, "epochs": 40})
    reporter.training("step", {**model, "seed": 1, "doing": "test", "done": 5, "of": 20})
    lines = capsys.readouterr().err.splitlines()

    assert lines[0].endswith("train sasrec, seed 0: done 2  left 38  training 1,200 of 39,063")
    assert lines[1].endswith("train sasrec, seed 1: test 5 of 20")


def test_the_demos_recipe_is_named_by_what_makes_it():
    """Another world or another port is another run; the usual one is `demo`."""
    usual = demo_recipe(videos=300, users=4000, seed=7, port=8765)
    other = demo_recipe(videos=50, users=4000, seed=7, port=8765)

    assert ("demo", "demo-50-4000-7-8765") == (usual.name, other.name)
    assert ("http://127.0.0.1:8765",) == usual.instances
    assert 20 == other.seeds.target

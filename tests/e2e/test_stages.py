"""Each stage alone, as its users type it, and what they are told when something is wrong."""

import json

import pyarrow.parquet as pq
import pytest
from PIL import Image

import microlens
from tests.e2e.harness import Cli


@pytest.fixture(scope="module")
def built(tmp_path_factory, frozen_site):
    """A finished run, made stage by stage."""
    cli = Cli(tmp_path_factory.mktemp("stages"))
    recipe = cli.recipe(frozen_site.url)
    cli("crawl", recipe)
    cli("work")
    cli("integrate")
    cli("subset", "--name", "all")
    return cli


def test_the_stages_alone_give_what_run_gives(built, frozen_site, tmp_path):
    """crawl, work, integrate and subset, one after the other, publish the bytes that `run` publishes and then ranks."""
    whole = Cli(tmp_path)
    whole("run", whole.recipe(frozen_site.url, benchmark={"models": ["popularity"]}))

    for name in ("items", "interactions", "users", "comments"):
        path = f"runs/site/releases/all/data/{name}.parquet"
        assert (whole.folder / path).read_bytes() == (built.folder / path).read_bytes()
    board = json.loads((whole.folder / "runs/site/results/all/leaderboard.json").read_text())
    assert ["popularity"] == [row["model"] for row in board["rows"]]


def test_more_users_than_there_are_is_a_warning(built):
    """Asked for more users than are eligible, `subset` takes all, names the release by their count and exits with 0."""
    out, err = built("subset", "--users", "100000")
    eligible = pq.read_metadata(built.folder / "runs/site/releases/all/data/users.parquet").num_rows

    assert f"site-{eligible}" in out
    assert "100000" in err
    assert (built.folder / f"runs/site/releases/site-{eligible}/_manifest.json").exists()


def test_strict_makes_it_an_error(built):
    """With --strict the same request exits with 4, says both numbers, and publishes nothing."""
    _, err = built("subset", "--users", "100000", "--strict", expect=4)

    assert "100000 users were asked for" in err


def test_subset_prints_one_json_object(built):
    """--json puts one object on standard output: name, path and counts."""
    result = built.json("subset", "--users", "50")

    assert "site-50" == result["name"]
    assert 50 == result["counts"]["users"]


def test_a_smaller_subset_lies_within_a_larger_one(built):
    """The users of a 20-user subset are all in the 60-user subset of the same run."""
    built("subset", "--users", "20")
    built("subset", "--users", "60")

    keys = {}
    for count in (20, 60):
        path = built.folder / f"runs/site/private/ids/site-{count}/users.parquet"
        keys[count] = set(pq.read_table(path)["user_key"].to_pylist())
    assert keys[20] < keys[60]


def test_benchmark_prints_rows_in_the_agreed_form(built):
    """Each leaderboard row names its model and gives HR and NDCG at 10 and 20."""
    release = built.folder / "runs/site/releases/all"
    board = built.json("benchmark", release, "--models", "popularity")

    (row,) = board["rows"]
    assert "popularity" == row["model"]
    assert 0 <= row["ndcg@10"] <= row["hr@10"] <= row["hr@20"] <= 1
    assert (built.folder / "runs/site/results/all/leaderboard.md").exists()


def test_status_tells_how_far_a_run_is(built):
    """`status` gives the funnel and the releases of the run used last."""
    status = built.json("status")

    assert status["crawl_finished"]
    assert status["funnel"]["kept"] > 0
    assert "all" in {release["name"] for release in status["releases"]}


def test_three_lines_load_a_release(built):
    """pairs, items and covers come from `microlens.load` alone."""
    dataset = microlens.load(built.folder / "runs/site/releases/all")

    assert ["user_id", "item_id", "timestamp_ms", "position"] == dataset.pairs.column_names
    assert dataset.items.num_rows == len(dataset.covers)
    assert isinstance(dataset.covers[1], Image.Image)
    dataset.verify()


def test_another_key_refuses_to_start(built):
    """A process that holds another pseudonym key exits with 7 before anything is fetched or written."""
    other = Cli(built.folder, key="f" * 64)

    _, err = other("work", expect=7)

    assert "pseudonym key" in err


def test_a_refusing_redis_is_named(built, monkeypatch):
    """A Redis that refuses exits with 5 and is named, without its password."""
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    cli = Cli(built.folder)
    environment = {**cli.environment, "MICROLENS_REDIS_URL": "redis://:geheim@127.0.0.1:1/0"}
    monkeypatch.setattr(Cli, "environment", environment)

    _, err = cli("work", expect=5)

    assert "127.0.0.1:1" in err
    assert "geheim" not in err


def test_an_unknown_recipe_key_names_the_nearest(cli):
    """A misspelled key exits with 2 and is told with the key that was probably meant."""
    _, err = cli("run", cli.recipe("http://127.0.0.1:1", sedes={"target": 3}), expect=2)

    assert "'sedes'" in err
    assert "'seeds'" in err


def test_an_unreachable_site_is_named(cli):
    """A site that does not answer exits with 5, names the address, and leaves a run that can go on."""
    recipe = cli.recipe("http://127.0.0.1:1", politeness={"max_attempts": 2, "requests_per_second": 100})

    _, err = cli("run", recipe, expect=5)

    assert "http://127.0.0.1:1" in err
    assert not cli.open().ledger.is_stage_finished("crawl")


def test_a_dropped_threshold_needs_no_new_download(cli, frozen_site):
    """A changed filter is decided anew from stored measurements; the site is asked only for comments now wanted."""
    first = cli.json("run", cli.recipe(frozen_site.url))
    seen = frozen_site.log()

    second = cli.json("run", cli.recipe(frozen_site.url, filters={"max_cover_share": 1.0, "min_video_bytes": 0}))

    assert first["funnel"]["dropped"]["cover_single_color"] > 0
    assert "cover_single_color" not in second["funnel"]["dropped"]
    media = {path: count for path, count in seen.items() if path.startswith("/media/")}
    assert media == {path: count for path, count in frozen_site.log().items() if path.startswith("/media/")}

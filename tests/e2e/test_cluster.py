"""Several processes on one Redis: nothing is fetched twice, and a lost Redis loses nothing."""

import subprocess
import time

import pytest
import redis

from microlens.embedded import redis_server
from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, expected_release
from tests.e2e.harness import ClusterCli, read_back

SLOW = {"politeness": {"requests_per_second": 120, "concurrency": 16}}


@pytest.fixture
def cluster(request, tmp_path):
    cli = ClusterCli(tmp_path)
    if getattr(request, "param", "sqlite") == "postgres":
        cli.database_url = request.getfixturevalue("postgres").new_database()
    with redis_server(None) as url:
        cli.redis_url = url
        yield cli
    cli.close()


def test_two_collectors_share_one_frontier(cluster, media_dir):
    """Two crawls of one run find what one would, and the site is asked for each page once."""
    with SandboxSite(videos=80, users=150, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = cluster.recipe(site.url, **SLOW)
        cluster("plan", recipe)
        first = cluster.start("crawl", recipe, stderr=subprocess.PIPE, text=True)
        while not (cluster.folder / "runs/site/run.json").exists():
            time.sleep(0.02)
        second = cluster.start("crawl", recipe, stderr=subprocess.PIPE, text=True)
        errors = [process.communicate(timeout=120)[1] for process in (first, second)]
        asked = {path: count for path, count in site.log().items() if path.startswith("/v/")}
        truth = collect_frozen(site.world, run_seed=11, target=40, stale_refreshes=4)

    assert (0, 0) == (first.returncode, second.returncode), errors
    selected = {row.video_id: row.stage for row in cluster.open().ledger.selections()}
    assert set(truth.seeds) == {video for video, stage in selected.items() if stage == "seed"}
    assert truth.ids <= set(selected)
    assert dict.fromkeys(asked, 1) == asked


@pytest.mark.parametrize("cluster", ["sqlite", "postgres"], indirect=True)
def test_a_wiped_redis_is_filled_again(cluster, media_dir):
    """Redis loses everything in the midst of a crawl: `recover` and the same commands end in the whole truth."""
    with SandboxSite(videos=80, users=300, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = cluster.recipe(site.url, **SLOW)
        crawl = cluster.start("crawl", recipe, stderr=subprocess.DEVNULL)
        while not ((cluster.folder / "runs/site/run.json").exists() and cluster.open().ledger.pages()):
            time.sleep(0.1)
        crawl.kill()
        crawl.wait()
        before = len(cluster.open().ledger.pages())
        redis.Redis.from_url(cluster.redis_url).flushall()
        cluster("recover")
        cluster("run", recipe)
        world = site.world
        truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)

    expected = expected_release(world, truth.ids)
    published = read_back(cluster.open(), "all", world.user_ids)
    assert before > 0
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept


def test_what_is_downloaded_is_not_asked_for_again(cluster, media_dir):
    """Redis loses everything when all is collected: neither `recover` nor a crawl that goes on fetches it anew."""
    with SandboxSite(videos=60, users=80, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = cluster.recipe(site.url, comments={"when": "always"})
        cluster("run", recipe)
        run, before = cluster.open(), site.log()
        run.ledger.reopen_stage("crawl")
        client = redis.Redis.from_url(cluster.redis_url)
        client.flushall()
        told = cluster("recover")[1]
        client.flushall()
        cluster("run", recipe)
        after = site.log()

    assert "page 0  visit 0  links 0  media 0  comments 0" in told
    assert {path: count for path, count in before.items() if path != "/robots.txt"} == {
        path: count for path, count in after.items() if path != "/robots.txt"
    }


@pytest.mark.parametrize("cluster", ["postgres"], indirect=True)
def test_a_cluster_may_be_started_in_any_order(cluster, media_dir):
    """The integrator and the nodes come before the run is there: they wait for it, and the release is the truth."""
    with SandboxSite(videos=80, users=300, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = cluster.recipe(site.url, **SLOW, benchmark={"models": []})
        integrator = cluster.start("publish", recipe, "--wait", stdout=subprocess.PIPE, text=True)
        nodes = [cluster.start("work", recipe, "-n", "1", "--forever") for _ in range(2)]
        time.sleep(3)  # time enough to fail
        is_waiting = [process.poll() for process in (integrator, *nodes)]
        cluster("crawl", recipe)
        said = integrator.communicate(timeout=120)[0]
        for node in nodes:
            node.terminate()
        codes = [integrator.returncode, *(node.wait(timeout=60) for node in nodes)]
        world = site.world
        truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
    again = cluster("publish", recipe, "--wait")[0]

    expected = expected_release(world, truth.ids)
    published = read_back(cluster.open(), "all", world.user_ids)
    assert [None, None, None] == is_waiting
    assert 0 == codes[0]
    assert f"release all: {cluster.folder / 'runs/site/releases/all'}" in said
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept
    assert "nothing to do" in again


def test_what_is_not_collected_is_not_published(cluster, media_dir):
    """Without --wait an unfinished run is an error that says what to do."""
    with SandboxSite(videos=60, users=80, seed=5, frozen=True, media_dir=media_dir) as site:
        recipe = cluster.recipe(site.url)
        cluster("crawl", recipe)
        told = cluster("publish", recipe, expect=3)[1]

    assert "neither fetched nor given up" in told
    assert "microlens-build work" in told

"""A site whose media links end sooner than the queue: what is published is the whole truth all the same."""

import json
import subprocess
import time

import pytest
import redis

from microlens.embedded import redis_server
from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, expected_release
from tests.e2e.harness import ClusterCli, read_back

SLOW = {"requests_per_second": 30, "concurrency": 4}
"""Some 180 requests: the first link is dead long before the last file is fetched."""
LIVES_S = 1.5


@pytest.fixture
def site(tmp_path, media_dir):
    log = tmp_path / "site.jsonl"
    with SandboxSite(
        videos=36, users=120, seed=9, frozen=True, media_dir=media_dir, log_file=log, links_expire_s=LIVES_S
    ) as running:
        yield running


@pytest.fixture
def cluster(tmp_path):
    cli = ClusterCli(tmp_path)
    with redis_server(None) as url:
        cli.redis_url = url
        yield cli


def recipe_of(cli, site, **changes):
    return cli.recipe(site.url, politeness=SLOW, seeds={"target": 12, "max_stale_refreshes": 4}, **changes)


def check_truth(cli, site):
    """Items, interactions and reasons are the world's, and no file is missing."""
    truth = collect_frozen(site.world, run_seed=11, target=12, stale_refreshes=4)
    expected = expected_release(site.world, truth.ids)
    run = cli.open()
    published = read_back(run, "all", site.world.user_ids)

    assert {} == {row["name"]: row["reason"] for row in run.ledger.final_failures("media")}
    assert expected.observed == published.kept
    assert expected.interactions == published.interactions
    assert {video: published.verdicts[video] for video in expected.dropped} == expected.dropped
    assert {"files": 0, "pages": 0} == run.fresh_links.counts()


def asked(site):
    """The site's own log: (what was wrong with the link or None, path) of each request for a file; pages by path."""
    lines = [json.loads(line) for line in site.log_file.read_text().splitlines()]
    files = [(line["link"], line["target"].partition("?")[0]) for line in lines if line["target"].startswith("/media/")]
    pages = [line["target"] for line in lines if line["target"].startswith("/v/")]
    return files, pages


def test_links_that_end_in_the_queue_are_asked_for_anew(cli, site):
    """Every file arrives, once; no link is asked for that is known to have ended, but for the moment on the way."""
    cli("run", recipe_of(cli, site))
    files, pages = asked(site)
    served = [path for wrong, path in files if wrong is None]

    check_truth(cli, site)
    assert len(pages) > len(set(pages))
    assert sorted(set(served)) == sorted(served)
    assert {"forged"}.isdisjoint({wrong for wrong, _ in files})
    assert cli.open().ledger.failure_counts()["expired"] > 10


def test_the_collector_had_finished_before(cli, site):
    """`crawl`, then `work` when every link is dead: `work` has the pages read again, and all is fetched."""
    recipe = recipe_of(cli, site)
    cli("crawl", recipe)
    time.sleep(2 * LIVES_S + 1)
    cli("work")
    cli("run", recipe)

    check_truth(cli, site)


@pytest.mark.slow
def test_a_cluster_whose_collector_stays(cluster, site):
    """`crawl --forever` beside `work --forever`, a node and the collector killed and started again: all is fetched."""
    recipe = recipe_of(cluster, site)
    cluster("plan", recipe)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cluster("crawl", recipe)
    workers = [cluster.start("work", "-n", "1", "--forever", **quiet) for _ in range(2)]
    collectors = [cluster.start("crawl", recipe, "--forever", **quiet) for _ in range(2)]
    try:
        wait_for(cluster, lambda run: run.ledger.progress()["assets"] > 5)
        for processes, again in (
            (workers, ["work", "-n", "1", "--forever"]),
            (collectors, ["crawl", recipe, "--forever"]),
        ):
            processes[0].kill()
            processes[0].wait()
            processes[0] = cluster.start(*again, **quiet)
        wait_for(cluster, lambda run: run.ledger.progress()["assets"] > 15)
        redis.Redis.from_url(cluster.redis_url).flushall()
        cluster("recover")
        wait_for(cluster, is_all_fetched)
    finally:
        for process in (*workers, *collectors):
            process.terminate()
        for process in (*workers, *collectors):
            process.wait(30)
    cluster("run", recipe)

    check_truth(cluster, site)


def is_all_fetched(run):
    wanted = {page.video_id for page in run.ledger.pages() if page.media and page.refusal is None}
    wanted &= {row.video_id for row in run.ledger.selections()}
    stored = {(row["video_id"], row["kind"]) for row in run.ledger.assets()}
    return {(video_id, kind) for video_id in wanted for kind in ("cover", "video")} <= stored


def wait_for(cli, is_so, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = cli.open()
        try:
            if is_so(run):
                return
        finally:
            run.ledger.close()
        time.sleep(0.3)
    raise AssertionError(f"not so after {seconds} s: {cli('status')[0]}")

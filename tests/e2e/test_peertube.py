"""A recorded real server, from its home page to a release, against what the recording itself says."""

import asyncio
import contextlib
import importlib.util
import socket
import threading
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
import yaml
from aiohttp import web

from tests.e2e.harness import read_back
from tests.peertube_expected import expected, replayed

ROOT = Path(__file__).parents[2]
RECORDING = ROOT.parent / "shared" / "real-platform" / "peertube"
RECIPE = ROOT / "deploy" / "recipes" / "peertube.yaml"
QUICK = {"requests_per_second": 50, "concurrency": 4}

pytestmark = pytest.mark.skipif(
    not (RECORDING / "replay.py").exists(), reason=f"the recorded PeerTube server is not at {RECORDING}"
)


@contextlib.contextmanager
def replaying(also=(), **options):
    """Serve the recording on 127.0.0.1 and 127.0.0.2; gives the port and the count of requests by host and path.

    `also`: (path and query, file of the recorded edge cases) of further answers.
    """
    spec = importlib.util.spec_from_file_location("replay", RECORDING / "replay.py")
    replay = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(replay)
    with warnings.catch_warnings(action="ignore"):  # of aiohttp about the recording's own code
        application = replay.app(**options)
    for url, file in also:
        parts = urlsplit(url)
        entry = {"status": 200, "headers": {"Content-Type": "application/json"}, "body": f"../../edge-cases/{file}"}
        application["replay"].answers[replay.key("127.0.0.1", parts.path, parts.query)] = entry
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve():
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        for host in ("127.0.0.1", "127.0.0.2"):
            await web.TCPSite(runner, host, port).start()
        ready.set()
        return runner

    runner = None

    def main():
        nonlocal runner
        runner = loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=main)
    thread.start()
    assert ready.wait(20)
    try:
        yield port, application["replay"].served
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


def recipe_for(cli, port, **changes):
    """The shipped recipe for the recording, with these changes."""
    recipe = yaml.safe_load(RECIPE.read_text())
    recipe |= {"instances": [f"http://127.0.0.1:{port}"], "benchmark": {"models": ["popularity"]}, **changes}
    path = cli.folder / "peertube.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.fixture(scope="module")
def truth():
    return expected(RECORDING / "site")


@pytest.fixture
def crawled(cli):
    """The shipped recipe on the recording, crawl delay shortened."""
    with replaying(crawl_delay=0.05) as (port, served):
        cli("run", recipe_for(cli, port))
    return cli.open("peertube"), served


def test_the_recording_goes_through_the_shipped_recipe(crawled, truth):
    """Every public video is kept or has its reason; every live comment, replies included, is accounted for."""
    run, served = crawled
    handles = {comment.handle for video in truth.videos.values() for comment in video.comments}
    published = read_back(run, "peertube", handles)
    kept = {uuid for uuid, reason in published.verdicts.items() if reason is None}
    refused = {uuid: video.refusal for uuid, video in truth.videos.items() if video.refusal}

    assert set(truth.videos) == set(published.verdicts)
    assert refused == {uuid: reason for uuid, reason in published.verdicts.items() if uuid in refused}
    # Its own test videos were uploaded again and again: some as the same file, some encoded anew.
    assert {"cover_single_color", "video_too_small", "duplicate_video", "near_duplicate_video"} >= {
        reason for uuid, reason in published.verdicts.items() if uuid not in refused and reason
    }
    check_comments(run, truth, kept)
    check_interactions(published, truth, kept)
    check_files(run, served, truth)


def check_comments(run, truth, kept):
    """The collected comments of kept videos are the recording's live ones, each once; tombstones are none of them."""
    port = urlsplit(run.recipe.instances[0]).port
    found = {}
    for part in run.ledger.parts("comments"):
        for row in pq.read_table(run.folder / part.path).to_pylist():
            found.setdefault(row["video_id"], []).append(row["comment_id"])
    for uuid in kept:
        urls = [replayed(comment.url, port) for comment in truth.videos[uuid].comments]
        live = sorted(run.pseudonyms.comment_keys("peertube", urls))
        assert live == sorted(found.get(uuid, [])), uuid
        assert len(live) == truth.videos[uuid].announced_comments


def check_interactions(published, truth, kept):
    """One interaction a user and kept video, the earliest, of users with at least the recipe's minimum of three."""
    earliest = {}
    for uuid in kept:
        for comment in truth.videos[uuid].comments:
            key = comment.handle, uuid
            earliest[key] = min(comment.created_ms, earliest.get(key, comment.created_ms))
    counts = {}
    for handle, _ in earliest:
        counts[handle] = counts.get(handle, 0) + 1
    assert {
        (handle, uuid, at) for (handle, uuid), at in earliest.items() if counts[handle] >= 3
    } == published.interactions


def check_files(run, served, truth):
    """What is stored are the recording's bytes, fetched once from the host that the answer names, and nothing else."""
    files = {file.sha256: (video.uuid, file) for video in truth.downloadable for file in video.files}
    by_video = {video.uuid: {file.sha256: file for file in video.files} for video in truth.downloadable}
    stored = [row for row in run.ledger.assets() if row["origin"] == "fetched"]
    wanted = {by_video[row["video_id"]][row["sha256"]] for row in stored}
    fetched = {path: count for path, count in served.items() if "/static/" in path or "/lazy-static/" in path}
    assert files
    assert {(row["video_id"], row["kind"]) for row in stored} == {
        (video.uuid, kind) for video in truth.downloadable for kind in {file.kind for file in video.files}
    }
    assert {f"{file.host}{urlsplit(file.url).path}": 1 for file in wanted} == fetched
    assert {"127.0.0.1", "127.0.0.2"} == {file.host for file in wanted}


def test_two_instances_that_federate_show_each_video_once(cli, truth):
    """Both list the same uuids: each page, list of comments and file is asked for once, of the first in the recipe."""
    seeds = {"target": 1000, "min_likes": -1, "max_stale_refreshes": 2, "categories": [], "languages": []}
    with replaying(crawl_delay=0.02) as (first, at_first), replaying(crawl_delay=0.02) as (second, at_second):
        instances = [f"http://127.0.0.1:{port}" for port in (first, second)]
        cli("run", recipe_for(cli, first, instances=instances, seeds=seeds, media={"captions": True}, politeness=QUICK))

    run = cli.open("peertube")
    api = "127.0.0.1/api/v1/videos"
    pages = {uuid: 1 for uuid, video in truth.videos.items() if video.refusal != "sensitive"}
    assert pages == {uuid: at_first.get(f"{api}/{uuid}") for uuid in pages}
    assert {"127.0.0.1/robots.txt", api} == set(at_second)
    assert sorted(truth.videos) == sorted(page.video_id for page in run.ledger.pages())
    verdicts = pq.read_table(run.integrated / "verdicts.parquet").to_pylist()
    check_comments(run, truth, {row["video_id"] for row in verdicts if row["is_kept"]})
    check_kinds(run, truth)


def check_kinds(run, truth):
    """Category and captions of every kept video are the recording's."""
    items = pq.read_table(run.integrated / "items.parquet").to_pylist()
    captions = {row["video_id"]: sorted(each["language"] for each in row["captions"]) for row in items}

    assert {uuid: sorted(truth.videos[uuid].captions) for uuid in captions} == captions
    assert {truth.videos[row["video_id"]].category for row in items} == {row["category"] for row in items}
    assert any(captions.values())


def test_seeds_are_chosen_by_the_words_of_the_site(cli, truth):
    """With a category and languages, seeds are exactly the recording's videos of those."""
    seeds = {"target": 1000, "min_likes": -1, "categories": ["education", "Animals"], "languages": ["en", "es"]}
    with replaying(crawl_delay=0.02) as (port, _):
        seeds |= {"max_stale_refreshes": 2}
        cli("crawl", recipe_for(cli, port, seeds=seeds, expansion={"depth": 0}, politeness=QUICK))

    chosen = {row.video_id for row in cli.open("peertube").ledger.selections()}
    wanted = {
        video.uuid
        for video in truth.videos.values()
        if video.category in {"Education", "Animals"} and video.language in {"en", "es"} and video.refusal is None
    }
    assert wanted == chosen
    assert wanted


def test_an_unchanged_server_is_hardly_asked(cli, truth):
    """A refresh reads each public page and the first page of its threads, no answers and no files, and all stays."""
    with replaying(crawl_delay=0.05) as (port, served):
        cli("run", recipe_for(cli, port, politeness=QUICK))
        before = dict(served)
        for command in ("crawl --since now", "work", "integrate", "subset --name again --min-user 3"):
            cli(*command.split())
        asked = {path: count - before.get(path, 0) for path, count in served.items() if count > before.get(path, 0)}

    run = cli.open("peertube")
    again = {path: count for path, count in asked.items() if not path.endswith("/robots.txt")}
    threads = [path for path in again if path.endswith("/comment-threads")]
    assert {1} == set(again.values())
    assert len(run.ledger.collected()) == len(threads) > 5
    assert [] == [path for path in again if "/comment-threads/" in path or "static/" in path or "search" in path]
    verdicts = pq.read_table(run.integrated / "verdicts.parquet").to_pylist()
    check_comments(run, truth, {row["video_id"] for row in verdicts if row["is_kept"]})


def test_a_rate_limit_and_failures_cost_nothing(cli, truth):
    """Where the server limits to 50 requests in 10 s and fails one in twenty, the same comments are collected."""
    with replaying(limit=50, fail=0.05, seed=3, crawl_delay=0.02) as (port, _):
        cli("run", recipe_for(cli, port, politeness={**QUICK, "max_attempts": 8, "timeout_s": 4}))

    run = cli.open("peertube")
    verdicts = pq.read_table(run.integrated / "verdicts.parquet").to_pylist()
    kept = {row["video_id"] for row in verdicts if row["is_kept"]}
    assert set(truth.videos) == {row["video_id"] for row in verdicts}
    check_comments(run, truth, kept)
    assert run.ledger.failure_counts()

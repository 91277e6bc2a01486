"""yt-dlp's own PeerTube extractors on the recorded server, through the real spider and the real node.

The recording lacks two things that yt-dlp asks for: answers at addresses with a slash at the end (the real server
gives the same without one: edge-cases/061), and lists in the order that it asks for (another request of the same list
was recorded). yt-dlp writes https:// and takes only instances that it knows, so a platform of another package
(tests/mapped.py) puts this machine's address in the place of one of them; nothing else differs.
"""

import subprocess
import time

import pyarrow.parquet as pq
import pytest
import yaml

from microlens.platforms import load_platform
from tests.e2e.test_peertube import RECORDING, replaying
from tests.mapped import install
from tests.peertube_expected import expected

FAR = "https://peertube.cpy.re"
PLAYLIST = "eae78c49-afed-4b22-a86c-b43888e9502e"
LISTED = f"/api/v1/video-playlists/{PLAYLIST}"
ALSO = [
    (LISTED, "201_playlist.json"),
    (f"{LISTED}/videos?sort=-createdAt&start=0&count=30&nsfw=both", "202_playlist-videos.json"),
]

pytestmark = pytest.mark.skipif(
    not (RECORDING / "replay.py").exists(), reason=f"the recorded PeerTube server is not at {RECORDING}"
)


@pytest.fixture
def mapped(cli, tmp_path_factory, monkeypatch):
    """Give a recipe for the recorded playlist, served at a port."""

    def make(port, **changes):
        near = f"http://127.0.0.1:{port}"
        install(tmp_path_factory.mktemp("package"), monkeypatch, far=FAR, near=near)
        recipe = {
            "name": "listed",
            "platform": "mapped",
            "instances": [f"{near}/w/p/{PLAYLIST}"],
            "contact": "tests@example.org",
            "seeds": {"min_likes": -1},
            "filters": {"min_video_bytes": 1000},
            "politeness": {"requests_per_second": 50, "concurrency": 4, "max_attempts": 3},
            "network": {"allow": ["127.0.0.0/8"]},
            **changes,
        }
        path = cli.folder / "listed.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    return make


def crawled_videos(run):
    return [row for part in run.ledger.parts("videos") for row in pq.read_table(run.folder / part.path).to_pylist()]


def test_a_listing_is_crawled_and_downloaded(cli, mapped):
    """The playlist's videos are found, read and fetched; what yt-dlp asked for went through our own hands."""
    with replaying(also=ALSO, crawl_delay=0.02) as (port, served):
        cli("crawl", mapped(port))
        cli("work", "-n", "1")
    run = cli.open("listed")
    by_title = {video.title: video for video in expected(RECORDING / "site").videos.values()}
    rows = crawled_videos(run)
    hashes = {(row["video_id"], row["kind"]): row["sha256"] for row in run.ledger.assets()}

    assert 5 == len(rows)
    for row in rows:
        truth = by_title[row["title"]]
        assert row["video_id"].startswith("PeerTube:")
        stored = {hashes[row["video_id"], kind] for kind in ("cover", "video")}
        assert stored <= {file.sha256 for file in truth.files}
        assert (truth.like_count, truth.tags) == (row["like_count"], tuple(row["tags"]))
        assert row["author_key"] is not None
    # Each command brings a Redis of its own here, and so asks anew.
    assert {"127.0.0.1/robots.txt": 2} == {path: n for path, n in served.items() if path.endswith("/robots.txt")}
    assert run.ledger.is_stage_finished("crawl")
    # yt-dlp knows no comments of PeerTube: its videos have none, and each was asked once.
    assert {row["video_id"] for row in rows} == set(run.ledger.collected())
    assert {(row["video_id"], kind) for row in rows for kind in ("cover", "video")} == {
        (video_id, kind) for video_id, kind in hashes if kind != "audio"
    }
    assert [] == run.ledger.parts("comments")


@pytest.mark.slow
def test_a_rate_limited_server_is_waited_for(cli, mapped):
    """Where the server allows 6 requests in 10 s, the same videos are found: 429 is obeyed inside of extractors too."""
    with replaying(also=ALSO, limit=6, crawl_delay=0.02) as (port, _):
        cli("crawl", mapped(port))
    run = cli.open("listed")

    assert 5 == len(crawled_videos(run))
    assert {"page": 0} == {"page": len(run.ledger.final_failures("page"))}


def test_a_stopped_crawl_leaves_no_thread_behind_and_goes_on(cli, mapped):
    """An extractor that waits for its host's budget is told that the crawl ends; the same command finds the rest."""
    with replaying(also=ALSO, crawl_delay=0.02) as (port, served):
        slow = {"requests_per_second": 0.2, "concurrency": 4}
        crawl = cli.start("crawl", mapped(port, politeness=slow), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while f"127.0.0.1{LISTED}" not in served:
            assert crawl.poll() is None
            time.sleep(0.05)
        crawl.terminate()
        crawl.communicate(timeout=30)
        recipe = yaml.safe_load((cli.folder / "listed.yaml").read_text())
        recipe["politeness"]["requests_per_second"] = 50
        (cli.folder / "listed.yaml").write_text(yaml.safe_dump(recipe))
        cli("crawl", cli.folder / "listed.yaml")
    run = cli.open("listed")

    assert 5 == len(crawled_videos(run))
    assert {} == run.ledger.failure_counts()


def test_an_unknown_listing_ends_the_crawl_with_its_reason(cli, mapped):
    """The extractor swallows the 404 and stumbles over what it lacks; what is told is the 404."""
    with replaying(crawl_delay=0.02) as (port, _):
        _, said = cli("crawl", mapped(port), expect=5)

    assert "gone (404)" in said


def test_an_address_for_the_generic_extractor_makes_no_run(cli, tmp_path):
    """The message names it and what to do, before anything is asked of a site."""
    recipe = tmp_path / "generic.yaml"
    recipe.write_text(
        "name: generic\nplatform: ytdlp\ninstances: ['https://example.org/films']\ncontact: owner@example.org\n"
    )
    _, said = cli("crawl", recipe, expect=2)

    assert "no extractor of its own for 'https://example.org/films'" in said
    assert not (cli.folder / "runs" / "generic").exists()


def test_the_platform_is_found_by_its_entry_point(mapped):
    """Another package's adapter that asks is a platform like any other."""
    mapped(1)

    assert "mapped" == load_platform("mapped").name

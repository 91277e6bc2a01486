"""What is published equals what the sandbox knows to be true: sets, not counts."""

import json
import re
import urllib.request

import pyarrow.parquet as pq

from sandbox.process import SandboxSite
from sandbox.truth import collect_frozen, collected_from_log, expected_release
from tests.e2e.harness import read_back


def test_a_frozen_site_is_published_exactly(cli, frozen_site):
    """Items, reasons, interactions and users of the release are those of the world, nothing more and nothing less."""
    world = frozen_site.world
    truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
    expected = expected_release(world, truth.ids)
    reasons = {**expected.dropped, **dict.fromkeys(truth.unpopular, "unpopular"), **dict.fromkeys(truth.gone, "gone")}

    result = cli.json("run", cli.recipe(frozen_site.url))

    run = cli.open()
    published = read_back(run, "all", world.user_ids)
    assert set(truth.seeds) == {row.video_id for row in run.ledger.selections() if row.stage == "seed"}
    assert {**reasons, **dict.fromkeys(expected.kept)} == published.verdicts
    assert expected.observed == published.kept
    assert expected.interactions == published.interactions
    assert expected.users == published.users
    assert len(expected.kept) == result["funnel"]["kept"]
    assert {
        "cover_single_color",
        "title_too_short",
        "video_too_small",
        "duplicate_video",
        "near_duplicate_video",
    } <= set(reasons.values())


def test_a_live_site_is_published_as_its_own_log_tells(cli, media_dir):
    """On a site that changes with every visit, the videos whose covers it served decide what must be published."""
    with SandboxSite(videos=80, users=500, seed=5, media_dir=media_dir) as site:
        cli.json("run", cli.recipe(site.url, comments={"text": "none"}))
        collected = collected_from_log(site.log())
        world = site.world

    expected = expected_release(world, collected)
    published = read_back(cli.open(), "all", world.user_ids)
    assert expected.observed == published.kept
    assert expected.interactions == published.interactions
    assert expected.users == published.users
    assert {v: published.verdicts[v] for v in expected.dropped} == expected.dropped


def test_clips_in_pieces_are_published_like_others(cli, media_dir):
    """A site that serves half of its clips as HLS alone gives the same release; no piece is asked for twice."""
    with SandboxSite(videos=80, users=500, seed=5, frozen=True, media_dir=media_dir, hls=0.5) as site:
        world = site.world
        truth = collect_frozen(world, run_seed=11, target=40, stale_refreshes=4)
        expected = expected_release(world, truth.ids)
        cli("run", cli.recipe(site.url))
        requests = site.log()

    published = read_back(cli.open(), "all", world.user_ids)
    in_pieces = {video for video in expected.kept if world.is_in_pieces[world.index[video]]}
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept
    assert expected.dropped == {video: published.verdicts[video] for video in expected.dropped}
    assert len(in_pieces) > 10
    assert in_pieces <= {path.split("/")[2] for path in requests if path.startswith("/pieces/")}
    assert {1} == {count for path, count in requests.items() if path.startswith(("/pieces/", "/media/"))}


def test_a_videos_comments_are_asked_for_only_once_it_passes(cli, media_dir):
    """With `after_checks` the site sees no comment request for a video that title, cover or size drop."""
    with SandboxSite(videos=60, users=120, seed=9, frozen=True, media_dir=media_dir) as site:
        cli("run", cli.recipe(site.url))
        asked = {path.split("/")[3] for path in site.log() if path.startswith("/api/videos/")}

    early = {"cover_single_color", "title_too_short", "video_too_small", "gone", "unpopular"}
    verdicts = read_back(cli.open(), "all", site.world.user_ids).verdicts
    assert asked == {video for video, reason in verdicts.items() if reason not in early}


def test_no_raw_user_id_reaches_the_disk(cli, frozen_site):
    """No file of a run, private ones and spools included, holds a raw user id."""
    cli("run", cli.recipe(frozen_site.url, comments={"text": "raw", "gender": True}))

    written = "".join(readable(path) for path in (cli.folder / "runs").rglob("*") if path.is_file())
    assert "kept" in written
    planted = "a1" * 8  # would be found, even at the end of a word
    assert {planted} == {planted, *frozen_site.world.user_ids} & ids_in(f"{written}x{planted}")


def ids_in(text):
    """All that has the form of a user id, wherever it begins: every id is searched for at once."""
    return {found[1] for found in re.finditer("(?=([a-z0-9]{16}))", text)}


def readable(path):
    """What a file says, Parquet's compressed columns included."""
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist())
    return path.read_bytes().decode("latin-1")


def test_every_file_is_fetched_once(cli, media_dir):
    """The site's own log shows one request for each asset, page and comment page."""
    with SandboxSite(videos=60, users=120, seed=9, frozen=True, media_dir=media_dir) as site:
        cli("run", cli.recipe(site.url))
        with urllib.request.urlopen(f"{site.url}/admin/log") as answer:
            requests = json.load(answer)["requests"]

    single = {path: count for path, count in requests.items() if path.startswith(("/media/", "/v/"))}
    assert single
    assert dict.fromkeys(single, 1) == single

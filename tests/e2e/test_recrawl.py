"""A site goes on living after it was crawled: a refresh ends where a fresh crawl of the same videos would."""

import math
import socket
import subprocess
import time

import pyarrow.parquet as pq
import pytest

from sandbox.process import SandboxSite
from sandbox.truth import KEPT, collect_frozen, expected_release, fates
from sandbox.world import WorldConfig, generate
from tests.e2e.harness import Cli, read_back

VIDEOS, USERS, SEED, PAGE = 60, 1500, 9, 100
SEEDS = {"target": 25, "max_stale_refreshes": 4}


@pytest.fixture(scope="module")
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def at_day(media_dir, port):
    """The same site at the same address, so many days later."""

    def open_site(day):
        return SandboxSite(
            videos=VIDEOS, users=USERS, seed=SEED, frozen=True, media_dir=media_dir, port=port, day=day, prepare=True
        )

    return open_site


def world_of(day):
    return generate(WorldConfig(VIDEOS, USERS, SEED, day=day))


def release_bytes(cli, name):
    folder = cli.folder / "runs" / "site" / "releases" / name
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(cli, release, world, ids):
    """The release is that of the world, nothing more and nothing less."""
    expected = expected_release(world, ids)
    published = read_back(cli.open(), release, world.user_ids)
    assert expected.interactions == published.interactions
    assert expected.observed == published.kept
    assert expected.users == published.users
    assert {**expected.dropped, **dict.fromkeys(expected.kept)} == {
        video_id: reason for video_id, reason in published.verdicts.items() if video_id in ids
    }


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory, at_day):
    """Day 0 crawled and published, then day 1 taken in; what the site was asked for on each day, and the truth."""
    cli = Cli(tmp_path_factory.mktemp("recrawl"))
    with at_day(0) as site:
        recipe = cli.recipe(site.url, seeds=SEEDS)
        cli("run", recipe)
        first = site.log()
    ids = collect_frozen(world_of(0), run_seed=11, target=SEEDS["target"], stale_refreshes=4).ids
    check(cli, "all", world_of(0), ids)
    before = release_bytes(cli, "all")
    with at_day(1) as site:
        dry, _ = cli("crawl", "site", "--since", "now", "--dry-run")
        cli("crawl", "site", "--since", "now")
        cli("work")
        cli("integrate")
        second = site.log()
        cli("subset", "--name", "later")
    return cli, before, first, second, ids, dry


def test_the_result_is_that_of_the_later_site(refreshed):
    """New comments are in, deleted ones and videos that left are out, duplicates are decided anew."""
    cli, _, _, _, ids, _ = refreshed

    check(cli, "later", world_of(1), ids)
    left = {"gone", "private", "robots_noai"} & set(expected_release(world_of(1), ids).dropped.values())
    assert {"private", "robots_noai"} <= left


def test_an_earlier_release_is_not_touched(refreshed):
    """Every file of the release made before has the bytes that it had."""
    cli, before, *_ = refreshed

    assert before == release_bytes(cli, "all")


def test_only_what_may_have_changed_is_asked_for(refreshed):
    """Each known page once; of comments one page where nothing was deleted; no home page, and no file again."""
    cli, _, first, second, _, dry = refreshed
    earlier, later = world_of(0), world_of(1)
    run = cli.open()
    pages = {page.video_id for page in run.ledger.pages() if page.failure is None}
    asked = {path.split("/")[3]: count for path, count in second.items() if path.startswith("/api/")}
    lists = {video_id: later.comments.of_video(later.index[video_id]) for video_id in asked}
    shrunk = {
        video_id
        for video_id, now in lists.items()
        if not set(earlier.comments.of_video(earlier.index[video_id])) <= set(now)
    }

    assert {f"/v/{video_id}": 1 for video_id in pages} == {p: n for p, n in second.items() if p.startswith("/v/")}
    assert [] == [path for path in second if path == "/" or path.startswith("/media/")]
    assert {v: math.ceil(len(now) / PAGE) if v in shrunk else 1 for v, now in lists.items()} == asked
    assert 0 < len(shrunk) < len(asked) / 2
    assert sum(asked.values()) < sum(count for path, count in first.items() if path.startswith("/api/")) / 2
    assert f"{len(pages)} videos" in dry


def test_both_visits_stay(refreshed):
    """A kept video's counts of both days stand in the integrated snapshots, oldest first."""
    cli, *_ = refreshed
    rows = pq.read_table(cli.open().integrated / "snapshots.parquet").to_pylist()
    found = {}
    for row in rows:
        found.setdefault(row["video_id"], []).append(tuple(row[f"{n}_count"] for n in ("like", "view", "comment")))
    kept = {row["video_id"] for row in pq.read_table(cli.open().integrated / "items.parquet").to_pylist()}

    assert found
    assert kept == set(found)
    assert {video_id: [counts(world_of(day), video_id) for day in (0, 1)] for video_id in found} == found
    assert [row["crawled_at_ms"] for row in rows] == [
        row["crawled_at_ms"] for row in sorted(rows, key=lambda row: (row["video_id"], row["crawled_at_ms"]))
    ]


def counts(world, video_id):
    at = world.index[video_id]
    return int(world.videos.likes[at]), int(world.videos.views[at]), len(world.comments.of_video(at))


def test_a_second_refresh_builds_on_the_first(refreshed, at_day):
    """Lists and additions of several days together are the site's; what is known since the moment is not read again."""
    cli, _, _, _, ids, _ = refreshed
    with at_day(2) as site:
        _, told = cli("crawl", "site", "--since", "7d")
        nothing = site.log()
        cli("crawl", "--since", "now")
        cli("work")
        cli("integrate")
        cli("subset", "--name", "latest")
        status = cli.json("status")

    check(cli, "latest", world_of(2), ids)
    assert "nothing to do" in told
    assert {} == nothing
    assert (2, 0) == (status["refresh"]["number"], status["refresh"]["left"])


@pytest.mark.slow
def test_killed_in_the_midst_it_goes_on(tmp_path, at_day):
    """Killed while it reads pages, and while nodes read comments, the same commands end in the same truth."""
    cli = Cli(tmp_path)
    slow = {"requests_per_second": 15, "concurrency": 4}
    with at_day(0) as site:
        recipe = cli.recipe(site.url, seeds=SEEDS)
        cli("run", recipe)
    cli.recipe(site.url, seeds=SEEDS, politeness=slow)
    with at_day(1) as site:
        cli("run", recipe)  # takes the slower pace over, and asks for nothing
        quiet = site.log()
        kill_when(cli, ["crawl", "site", "--since", "now"], lambda run: len(visits(run)) >= 10)
        done = {f"/v/{visit.video_id}" for visit in visits(cli.open())}
        _, refused = cli("integrate", expect=3)
        cli("crawl", "site", "--since", "now")
        kill_when(cli, ["work", "site"], lambda run: any(one.refresh for one in run.ledger.comment_lists()))
        cli("run", recipe)
        pages = {path: count for path, count in site.log().items() if path.startswith("/v/")}

    ids = collect_frozen(world_of(0), run_seed=11, target=SEEDS["target"], stale_refreshes=4).ids
    check(cli, "all", world_of(1), ids)
    assert {} == quiet
    assert "refresh 1" in refused
    assert 1 == cli.open().refreshes.newest().number
    assert done
    assert {1} == {pages[path] for path in done}


def visits(run):
    return run.refreshes.visits_since(1, 0)[0]


def kill_when(cli, arguments, is_time):
    """Start a command, and kill it once the ledger shows that it is time."""
    process = cli.start(*arguments, stderr=subprocess.DEVNULL)
    run = cli.open()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not is_time(run):
        time.sleep(0.05)
    assert process.poll() is None
    process.kill()
    process.wait()


def test_the_worlds_of_the_test_are_worth_it():
    """Of the days compared some videos change, most lists do not shrink, and most videos stay."""
    kept = [sum(fate == KEPT for fate in fates(world_of(day)).values()) for day in (0, 1, 2)]

    assert kept[0] > kept[1] > kept[2] > VIDEOS / 2

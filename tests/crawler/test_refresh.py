"""`crawl RUN --since`: known pages once more, whatever they answer now; no home page, no new video."""

import sqlite3
import time

import pyarrow.parquet as pq
import pytest
import redis

from microlens.frontier import Frontier
from microlens.recipe import Politeness
from microlens.records import Failure
from microlens.refreshes import Refreshes
from tests.crawler.command import Command
from tests.crawler.site import Reply, Video
from tests.crawler.test_crawl import fill


@pytest.fixture
def recrawl(shared_crawl):
    """Crawls, and crawls again."""

    class Recrawl:
        crawl = shared_crawl

        def first(self, site, **changes):
            shared_crawl(site, **changes)
            self.path, self.environment = shared_crawl.prepare(site, **changes)
            site.asked.clear()

        def start(self, *options, since="now", target=None):
            arguments = ["crawl", target or self.path, "--since", since, *options]
            return Command(arguments, shared_crawl.folder, self.environment)

        def __call__(self, *options, expect=0, **more):
            code, said = self.start(*options, **more).wait()
            assert expect == code, said
            return said

        def look(self):
            """The outcome of each visit by refresh and video, the newest refresh, and what holds now."""
            ledger = shared_crawl.ledger
            refreshes = Refreshes(ledger)
            newest = refreshes.newest()
            visits = {
                number: {visit.video_id: visit.failure for visit in refreshes.visits_since(number, 0)[0]}
                for number in range(1, (newest.number if newest else 0) + 1)
            }
            standing = {one.page.video_id: one.page for one in refreshes.standings()}
            ledger.close()
            return visits, newest, standing

        def records(self, video_id):
            ledger = shared_crawl.ledger
            parts = [shared_crawl.run_folder / part.path for part in ledger.parts("videos")]
            ledger.close()
            rows = [row for part in parts for row in pq.read_table(part).to_pylist() if row["video_id"] == video_id]
            return sorted(rows, key=lambda row: row["crawled_at_ms"])

    return Recrawl()


def pages(site):
    return {path: count for path, count in site.count().items() if path != "/robots.txt"}


def test_each_known_page_is_read_once_more(recrawl, site):
    """Counts and titles of today, beside those of the first visit; new links on old pages are not followed."""
    names = fill(site, 5)
    recrawl.first(site)
    for name in names:
        site.videos[name] = Video(likes=70_000, title=f"{name} anew", related=("stranger",))
    said = recrawl()
    visits, newest, standing = recrawl.look()

    assert {f"/v/{name}": 1 for name in names} == pages(site)
    assert ({1: dict.fromkeys(names)}, False) == (visits, newest.is_open)
    assert {name: (f"{name} anew", 70_000) for name in names} == {
        name: (page.title, page.like_count) for name, page in standing.items()
    }
    assert [50_000, 70_000] == [row["like_count"] for row in recrawl.records("v0")]
    assert "microlens-build work" in said


def test_only_what_is_old_is_read(recrawl, site):
    """Videos that were read since the moment are left alone; nothing due is no refresh."""
    fill(site, 3)
    recrawl.first(site)
    path = recrawl.crawl.run_folder / "ledger.sqlite"
    with sqlite3.connect(path) as ledger:
        ledger.execute("UPDATE page SET visited_at_ms = visited_at_ms - 10 * 86400000 WHERE video_id = 'v1'")
    ledger.close()
    counted = recrawl("--dry-run", since="7d")
    recrawl(since="7d")
    once = pages(site)
    said = recrawl(since="7d")

    assert "1 videos were last read before" in counted
    assert {"/v/v1": 1} == once == pages(site)
    assert "nothing to do" in said
    assert 1 == recrawl.look()[1].number


def test_whatever_a_page_answers_is_written_down(recrawl, site):
    """Gone, closed, tagged, unreadable or away: a refresh ends, and only what is final holds against a video."""
    names = fill(site, 8)
    recrawl.first(site, politeness={"max_attempts": 2})
    del site.videos["v0"]
    site.script("/v/v1", Reply(403))
    site.script("/v/v2", Reply(200, b"<html></html>", {"X-Robots-Tag": "noai"}))
    site.videos["v3"].is_changed = True
    site.script("/v/v4", Reply(500), Reply(500))
    site.script("/v/v5", Reply(500))
    recrawl()
    visits, newest, standing = recrawl.look()

    failures = {"v0": "gone", "v1": "private", "v2": "robots_noai", "v3": "page_changed", "v4": "server_error"}
    assert {**dict.fromkeys(names), **failures} == visits[1]
    assert not newest.is_open
    final = {"gone", "private", "robots_noai"}
    assert {name: failures.get(name) for name in names if failures.get(name) in final} == {
        name: page.failure for name, page in standing.items() if page.failure
    }


def test_the_page_of_another_video_is_not_taken(recrawl, site):
    """An address that now shows another video is a changed page; the one that was known stays as it was."""
    fill(site, 12)
    recrawl.first(site)
    site.script("/v/v0", site._page("v1"))
    recrawl()
    visits, _, standing = recrawl.look()

    assert "page_changed" == visits[1]["v0"]
    assert standing["v0"].failure is None


def test_many_changed_pages_stop_it(recrawl, site):
    """A site with a new look is no site of missing videos: nothing is held against them, and all are read again."""
    names = fill(site, 12)
    recrawl.first(site)
    for name in names:
        site.videos[name].is_changed = True
    recrawl(expect=6)
    visits, newest, _ = recrawl.look()
    for name in names:
        site.videos[name].is_changed = False
    recrawl()

    assert newest.is_open
    assert "page_changed" not in visits[1].values()
    assert (dict.fromkeys(names), False) == (recrawl.look()[0][1], recrawl.look()[1].is_open)


def test_killed_it_goes_on_with_its_own_moment(recrawl, site):
    """The same command after a kill reads what is left; what was committed is not asked for again."""
    names = fill(site, 40)
    recrawl.first(site, politeness={"requests_per_second": 15})
    running = recrawl.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(recrawl.look()[0].get(1, ())) < 5:
        time.sleep(0.05)
    running.stop(9)
    running.wait()
    done = set(recrawl.look()[0][1])
    said = recrawl()
    visits, newest, _ = recrawl.look()

    assert done
    assert {1} == {pages(site)[f"/v/{name}"] for name in done}
    assert "refresh 1" in said
    assert "goes on" in said
    assert ({1: dict.fromkeys(names)}, 1, False) == (visits, newest.number, newest.is_open)


def test_a_limit_leaves_it_open(recrawl, site):
    """Stopped after some pages it says so; the next command reads the rest, and a run's name does as well."""
    names = fill(site, 9)
    recrawl.first(site, politeness={"concurrency": 1})
    said = recrawl("--limit", "3")
    visits, newest, _ = recrawl.look()
    recrawl(target=recrawl.crawl.folder.name)

    assert newest.is_open
    assert 3 <= len(visits[1]) < 9
    assert "run the same command again" in said
    assert {f"/v/{name}": 1 for name in names} == pages(site)
    assert not recrawl.look()[1].is_open


def test_a_lost_redis_is_filled_with_what_an_open_refresh_lacks(recrawl, site, redis_url):
    """`recover` pushes the pages that the refresh has still to read, and `retry` those that it could not."""
    fill(site, 9)
    recrawl.first(site, politeness={"concurrency": 1, "max_attempts": 1})
    site.script("/v/v0", Reply(500))
    recrawl("--limit", "3")
    read = len(recrawl.look()[0][1])
    with redis.Redis.from_url(redis_url) as client:
        frontier = Frontier(client, recrawl.crawl.shared_name, Politeness())
        frontier.clear()
        counts = []
        for command in ("recover", "retry", "recover"):
            Command([command], recrawl.crawl.folder, recrawl.environment).wait()
            counts.append(frontier.open_count(["visit"]))

    assert [9 - read, 9 - read + 1, 9 - read + 1] == counts


def test_comments_that_were_given_up_stay_so(recrawl, site, redis_url):
    """A lost Redis gets the comments of the videos that were read, but not those that were refused for good."""
    names = fill(site, 9)
    recrawl.first(site, politeness={"concurrency": 1})
    ledger = recrawl.crawl.ledger
    ledger.commit_comments(None, dict.fromkeys(names, 0))
    recrawl("--limit", "3")
    read = sorted(recrawl.look()[0][1])
    refused = Failure("comments", f"{read[0]}@1", "sandbox", read[0], "u", "gone", 410, 1, is_final=True)
    ledger.record_failure(refused)
    ledger.close()
    with redis.Redis.from_url(redis_url) as client:
        frontier = Frontier(client, recrawl.crawl.shared_name, Politeness())
        before = frontier.open_count(["comments"])
        frontier.clear()
        Command(["recover"], recrawl.crawl.folder, recrawl.environment).wait()
        after = frontier.open_count(["comments"])

    assert (len(read), len(read) - 1) == (before, after)


def test_attempts_that_failed_are_written_down(recrawl, site):
    """A visit that succeeds at the second try leaves a trace of the first."""
    names = fill(site, 3)
    recrawl.first(site)
    site.script("/v/v0", Reply(500))
    recrawl()
    ledger = recrawl.crawl.ledger
    counts = ledger.failure_counts()
    ledger.close()

    assert {"server_error": 1} == counts
    assert dict.fromkeys(names) == recrawl.look()[0][1]


def test_an_unfinished_crawl_is_not_refreshed(recrawl, site):
    """The first crawl reads its pages itself: it comes first, and the message says how."""
    fill(site, 9)
    path, environment = recrawl.crawl.prepare(site, politeness={"concurrency": 1})
    Command(["crawl", path, "--limit", "2"], recrawl.crawl.folder, environment).wait()
    recrawl.path, recrawl.environment = path, environment

    assert "microlens-build crawl" in recrawl(expect=3)


@pytest.mark.parametrize(("since", "word"), [("tomorrow", "no moment"), ("2999-01-01", "future")])
def test_a_moment_that_is_none_is_2(recrawl, site, since, word):
    """What cannot be a moment is refused before anything is asked for."""
    fill(site, 2)
    recrawl.first(site)

    assert word in recrawl(since=since, expect=2)
    assert {} == pages(site)

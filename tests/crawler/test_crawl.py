"""Crawls that rest, wait, stop or go on: one site and one fault each."""

import contextlib
import itertools
import socket
import sqlite3
import subprocess
import sys
import time

import redis

from crawler.run import restore_frontier
from microlens.frontier import Frontier
from microlens.recipe import Politeness
from microlens.runs import open_run
from microlens.settings import Settings
from tests.crawler.conftest import Crawler
from tests.crawler.site import Reply, Video


def fill(site, count, **more):
    """A home page with so many good videos; gives their ids."""
    names = [f"v{number}" for number in range(count)]
    site.videos = {name: Video(**more) for name in names}
    site.homes = [names]
    return names


@contextlib.contextmanager
def frontier_of(crawl, redis_url):
    """The frontier that a crawl filled."""
    with redis.Redis.from_url(redis_url) as client:
        yield Frontier(client, crawl.shared_name, Politeness(requests_per_second=5000, concurrency=100))


def test_an_own_redis_is_started_where_none_is_given(tmp_path_factory, site):
    """`python -m microlens.cli crawl` without MICROLENS_REDIS_URL brings its own server and ends well."""
    names = fill(site, 3)
    crawl = Crawler(tmp_path_factory.mktemp("alone"))
    path, environment = crawl.prepare(site)
    subprocess.run([sys.executable, "-m", "microlens.cli", "crawl", path], env=environment, check=True, timeout=90)

    assert dict.fromkeys(names, ("seed", 0)) == crawl.look().places


def test_refusals_at_once_are_one_event(shared_crawl, site):
    """Four requests in flight that meet 429 rest the host once, for the Retry-After, and lose nothing."""
    names = fill(site, 8)
    site.refuse_together(4, Reply(429, headers={"Retry-After": "2"}))
    shared_crawl(site, politeness={"concurrency": 4})
    host, found = shared_crawl.host(site.url), shared_crawl.look()

    # Four steps would be eight seconds.
    assert 2000 <= int(host["backoff_until"]) - int(host["backoff_at"]) < 4000
    assert dict.fromkeys(names) == found.pages
    assert {"rate_limited": 4} == found.failures
    assert 12 == sum(site.count()[f"/v/{name}"] for name in names)


def test_nothing_is_asked_of_a_resting_host(crawl, site):
    """After the 429 the next request comes no sooner than Retry-After says."""
    fill(site, 6)
    site.script("/v/v2", Reply(429, headers={"Retry-After": "2"}))
    crawl(site, politeness={"concurrency": 1})
    times = site.times("/v/")
    longest = max(after - before for before, after in itertools.pairwise(times))

    assert longest >= 1.8
    assert 7 == len(times)


def test_the_crawl_delay_is_obeyed(crawl, site):
    """However many requests a recipe allows, robots.txt spaces them."""
    fill(site, 4)
    site.robots = "User-agent: *\nCrawl-delay: 0.5\n"
    crawl(site)
    times = sorted([*site.times("/v/"), *site.times("/?")])

    assert times[-1] - times[0] >= 0.9 * 0.5 * (len(times) - 1)
    assert 6 == len(times)


def test_a_robots_txt_that_fails_is_asked_for_again(crawl, site):
    """One server error delays the crawl and does not end it."""
    fill(site, 2)
    site.script("/robots.txt", Reply(500))
    crawl(site, politeness={"max_attempts": 2})

    assert crawl.look().is_finished
    assert ["/robots.txt", "/robots.txt"] == [asked.path for asked in site.asked[:2]]


def test_a_site_without_readable_robots_txt_is_unreachable(crawl, site):
    """A server error is no permission: nothing but robots.txt is asked for, and the exit code is 5."""
    fill(site, 2)
    site.script("/robots.txt", *[Reply(503)] * 9)
    said = crawl(site, expect=5, politeness={"park_after": 1})

    assert f"{site.url}/robots.txt" in said
    assert {"/robots.txt": 1} == dict(site.count())
    assert not crawl.look().is_finished


def test_an_unreachable_site_is_named(crawl, site):
    """A port where nobody listens ends the crawl with 5 and with its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = crawl(site, expect=5, url=url, politeness={"park_after": 1})

    assert url in said
    assert "Traceback" not in said


def test_a_home_page_that_refuses_for_good_is_unreachable(crawl, site):
    """A home page that answers 404 ends the crawl with 5; the same command goes on once it is back."""
    names = fill(site, 2)
    site.script("/?refresh=0", Reply(404))
    said = crawl(site, expect=5)

    assert f"{site.url}/?refresh=0" in said
    assert [] == crawl.look().homes

    crawl(site)

    assert set(names) == set(crawl.look().places)


def test_a_changed_home_page_stops_the_crawl_and_is_read_again(crawl, site):
    """Exit code 6, nothing of it committed; mended, the same run goes on to its end and asks for no page twice."""
    names = fill(site, 4)
    site.homes = [names[:2], names]
    site.home_is_changed_at = 1
    said = crawl(site, expect=6)
    found = crawl.look()

    assert f"{site.url}/?refresh=1" in said
    assert ([0], set(names[:2])) == (found.homes, set(found.pages))
    assert not found.is_finished

    site.home_is_changed_at = None
    crawl(site)
    found = crawl.look()

    assert ([0, 1, 2], set(names)) == (found.homes, set(found.places))
    assert found.is_finished
    assert [1] * 4 == [site.count()[f"/v/{name}"] for name in names]


def test_many_changed_pages_stop_the_crawl(crawl, site):
    """More than a handful, and more than a tenth, is a change of the site: exit code 6."""
    names = fill(site, 12)
    for name in names[:8]:
        site.videos[name].is_changed = True
    said = crawl(site, expect=6, politeness={"concurrency": 1})

    samples = sorted((crawl.run_folder / "samples").iterdir())
    assert "cannot be read" in said
    assert "the shape of the answer, without its words, lies in" in said
    assert 4 == len(samples)
    assert "<h1>Xxx xxx xxxxxx</h1>" in samples[0].read_text()
    assert not crawl.look().is_finished


def test_a_finished_crawl_asks_for_nothing(crawl, site):
    """The same command again finds all that it needs in the ledger."""
    fill(site, 3)
    crawl(site)
    before, asked = crawl.look(), len(site.asked)
    crawl(site)

    assert before == crawl.look()
    assert len(site.asked) == asked


def test_a_stopped_crawl_keeps_what_it_read(crawl, site):
    """SIGTERM commits what is read, ends, and the next call fetches the rest alone."""
    names = fill(site, 12)
    site.robots = "User-agent: *\nCrawl-delay: 0.2\n"
    command = crawl.start(site)
    while command.is_running and len(site.times("/v/")) < 4:
        time.sleep(0.02)
    command.stop()
    command.wait()
    found = crawl.look()

    assert 3 <= len(found.pages) < 12
    assert not found.is_finished

    site.robots = ""
    crawl(site)

    assert set(names) == set(crawl.look().places)
    assert all(2 >= site.count()[f"/v/{name}"] for name in names)
    assert all(1 == site.count()[f"/v/{name}"] for name in found.pages)


def test_a_ledger_that_cannot_be_written_is_no_success(crawl, site):
    """An error that nobody foresaw ends the command with the bug's exit code, not with 0."""
    fill(site, 3)
    site.script("/?refresh=0", Reply(404))
    crawl(site, expect=5)
    with sqlite3.connect(crawl.run_folder / "ledger.sqlite") as ledger:
        ledger.execute("CREATE TRIGGER full BEFORE INSERT ON home BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    ledger.close()
    said = crawl(site, expect=70)

    assert "disk full" in said
    assert not crawl.look().is_finished


def test_comments_that_are_always_wanted_reach_the_frontier(shared_crawl, site, redis_url):
    """With `when: always` every selected page leaves a comments item that can be claimed."""
    names = fill(site, 5, related=("friend",))
    site.videos["friend"] = Video()
    shared_crawl(site, comments={"when": "always"})

    claimed = set()
    with frontier_of(shared_crawl, redis_url) as frontier:
        while claim := frontier.claim("comments", 10).items:
            claimed |= {item.name for item in claim}

        assert {*names, "friend"} == claimed
        assert 6 == frontier.open_count(["comments"])


def test_a_crawl_that_goes_on_keeps_no_other_from_writing(shared_crawl, site, redis_url):
    """What the ledger has is not written again: the plan is built while somebody else holds the ledger's write lock."""
    fill(site, 5, related=("friend",))
    site.videos["friend"] = Video()
    shared_crawl(site)
    run = open_run(shared_crawl.run_folder, Settings())
    ledger = sqlite3.connect(run.folder / "ledger.sqlite", isolation_level=None)
    with frontier_of(shared_crawl, redis_url) as frontier, contextlib.closing(ledger) as other:
        other.execute("BEGIN IMMEDIATE")
        frontier.clear()
        restore_frontier(run, frontier)
        left = frontier.open_count(["page", "media", "comments"])
    run.ledger.close()

    assert 0 == left


def test_a_number_beyond_all_bounds_costs_its_page_alone(crawl, site):
    """A like count that no integer column holds is dropped with its page; the crawl goes on."""
    names = fill(site, 4)
    site.videos["v1"].likes = 1e30
    crawl(site)
    found = crawl.look()

    assert found.is_finished
    assert set(names) == set(found.pages)


def test_a_collector_tells_its_counts_at_its_end(crawl, site):
    """One event with Scrapy's own counts: what was taken from the frontier, requests, answers, bytes."""
    site.videos, site.homes = {"good": Video()}, [["good"]]
    said = crawl(site)
    (event,) = [line for line in said.splitlines() if "crawl_stats" in line]

    assert "downloader_response_status_count_200=" in event
    assert "scheduler_enqueued_frontier=" in event
    assert "elapsed_time_seconds=" in event

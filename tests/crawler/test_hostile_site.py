"""One crawl over a site that does everything wrong at once: what is lost, and what is written down."""

import pyarrow.parquet as pq
import pytest

from tests.crawler.conftest import CONTACT
from tests.crawler.site import Reply, Video

GOOD = ["good1", "good2", "good3"]
SHOWN = [
    *GOOD,
    "missing",
    "withdrawn",
    "members-only",
    "hidden",
    "cut-once",
    "always-cut",
    "busy-once",
    "teapot",
    "changed",
    "moved",
    "moved-inside",
    "moved-to-file",
    "moved-to-hidden",
    "loop",
    "not-for-ai",
    "not-listed",
    "unpopular",
]


@pytest.fixture(scope="module")
def crawled(module_site, module_crawl):
    """The site, the crawl, and what it committed."""
    site = module_site
    site.homes = [SHOWN]
    site.robots = "User-agent: *\nDisallow: /v/hidden\nDisallow: /secret/\n"
    site.videos = {name: Video() for name in [*GOOD, "hidden", "cut-once", "always-cut", "busy-once", "friend"]}
    site.videos["unpopular"] = Video(likes=3, related=("never",))
    site.videos["changed"] = Video(is_changed=True)
    site.videos["good1"].related = ("friend", f"{site.other_url}/v/elsewhere", "http://127.0.0.1:9/v/dead")
    site.script("/v/withdrawn", Reply(410))
    site.script("/v/members-only", Reply(403))
    site.script("/v/teapot", Reply(418))
    site.script("/v/not-for-ai", Reply(headers={"X-Robots-Tag": "noai"}, body=b"<html></html>"))
    site.script("/v/not-listed", Reply(body=b'<html><head><meta name="robots" content="noindex"></head></html>'))
    site.script("/v/cut-once", Reply(cut=True))
    site.script("/v/always-cut", *[Reply(cut=True)] * 20)
    site.script("/v/busy-once", Reply(503))
    site.script("/v/moved", Reply(302, headers={"Location": f"{site.other_url}/v/good1"}))
    site.script("/v/moved-inside", Reply(302, headers={"Location": "http://169.254.169.254/latest/"}))
    site.script("/v/moved-to-file", Reply(302, headers={"Location": "file:///etc/passwd"}))
    site.script("/v/moved-to-hidden", Reply(302, headers={"Location": "/secret/page"}))
    site.script("/v/loop", *[Reply(302, headers={"Location": "/v/loop"})] * 20)
    module_crawl(site, politeness={"max_attempts": 2})
    return site, module_crawl, module_crawl.look()


def test_the_crawl_comes_to_its_end(crawled):
    """Whatever single pages do, the rest is collected and the stage is finished."""
    _, _, found = crawled

    assert found.is_finished
    assert [0, 1] == found.homes
    assert dict.fromkeys([*GOOD, "cut-once", "busy-once"], ("seed", 0)).items() <= found.places.items()
    assert ("related", 1) == found.places["friend"]
    assert dict.fromkeys([*GOOD, "friend", "cut-once", "busy-once", "unpopular"]).items() <= (found.pages.items())


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("missing", "gone"),
        ("withdrawn", "gone"),
        ("members-only", "private"),
        ("teapot", "bad_status"),
        ("not-for-ai", "robots_noai"),
        ("not-listed", "robots_noindex"),
        ("hidden", "robots"),
        ("changed", "page_changed"),
        ("always-cut", "connection_lost"),
        ("moved", "forbidden_address"),
        ("moved-inside", "forbidden_address"),
        ("moved-to-hidden", "robots"),
    ],
)
def test_a_page_that_cannot_be_read_has_its_reason(crawled, page, reason):
    """Every failed page is in the ledger with the word why, and is no seed."""
    _, _, found = crawled

    assert reason == found.pages[page]
    assert page not in found.places


def test_no_page_is_lost(crawled):
    """Every link that the home page shows has its row."""
    _, _, found = crawled

    assert {*SHOWN, "friend", "elsewhere", "dead"} == set(found.pages)


def test_what_robots_forbids_is_never_asked_for(crawled):
    """Neither a forbidden page nor one that a redirect leads to."""
    site, _, _ = crawled

    assert 0 == site.count()["/v/hidden"]
    assert 0 == site.count()["/secret/page"]


def test_what_the_recipe_does_not_allow_is_never_reached(crawled):
    """A link or a redirect into another network opens no connection, not even for its robots.txt."""
    site, _, _ = crawled

    assert {} == dict(site.count("127.0.0.2"))


def test_a_redirect_to_a_file_reads_nothing(crawled):
    """A redirect to a file is an answer of no use."""
    _, _, found = crawled

    assert found.pages["moved-to-file"] in {"bad_status", "forbidden_address"}


def test_redirects_end(crawled):
    """A page that leads to itself is given up within max_attempts."""
    site, _, found = crawled

    assert found.pages["loop"] is not None
    assert 20 > site.count()["/v/loop"]


def test_a_dead_host_costs_its_own_page_alone(crawled):
    """A link to a host that does not answer is given up; the crawl of the instances goes on."""
    _, _, found = crawled

    assert "robots_unreachable" == found.pages["dead"]
    assert found.is_finished


def test_tries_are_counted(crawled):
    """What another try may mend is tried again, max_attempts times; what it cannot is not."""
    site, _, _ = crawled
    count = site.count()

    assert (2, 2) == (count["/v/cut-once"], count["/v/busy-once"])
    # Twisted itself repeats a request once whose kept-alive connection broke.
    assert 2 <= count["/v/always-cut"] <= 4
    assert [1] * 4 == [count[f"/v/{page}"] for page in ("missing", "members-only", "changed", "good1")]


def test_links_of_unpopular_pages_lead_nowhere(crawled):
    """A video below the minimum is visited, is no seed, and its related videos are not asked for."""
    site, _, found = crawled

    assert "unpopular" not in found.places
    assert 0 == site.count()["/v/never"]


def test_robots_is_asked_for_once_and_first(crawled):
    """robots.txt comes before anything else of a host, and one copy serves the whole crawl."""
    site, _, _ = crawled

    assert "/robots.txt" == site.asked[0].path
    assert 1 == site.count()["/robots.txt"]


def test_every_request_says_who_asks(crawled):
    """The User-Agent of every request, robots.txt included, carries the recipe's contact."""
    site, _, _ = crawled

    assert all(CONTACT in asked.agent and "microlens" in asked.agent for asked in site.asked)


def test_records_hold_no_raw_author(crawled):
    """The parts hold one record for each page that was read, its author a keyed pseudonym."""
    _, crawl, found = crawled
    rows = [row for part in found.parts for row in pq.read_table(crawl.run_folder / part.path).to_pylist()]

    assert sorted(page for page, failure in found.pages.items() if failure is None) == sorted(
        row["video_id"] for row in rows
    )
    assert len(rows) == len({row["author_key"] for row in rows})
    assert not [p for p in crawl.run_folder.rglob("*") if p.is_file() and b"author-of-good1" in p.read_bytes()]

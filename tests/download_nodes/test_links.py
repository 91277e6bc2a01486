"""A node and links that have run out: handed back rather than given up, and never for ever."""

import sqlite3

import pytest

from microlens.backlog import MOST_LINKS, fresh_items, media_items
from microlens.clock import now_ms
from microlens.ledger_rows import PageRow, Selected
from microlens.records import MediaLink
from microlens.retries import reopen
from tests.crawler.site import Reply

HOUR_MS = 3_600_000


@pytest.fixture
def links(desk, make_cover, clip, tmp_path):
    """One video with a cover and a clip, on a site that takes any query behind their addresses."""
    desk.make(comments={"when": "always"})
    files = {"cover": make_cover(tmp_path / "cover.jpg").read_bytes(), "video": clip.read_bytes()}
    desk.site.files = {"/a.cover": files["cover"], "/a.video": files["video"]}
    return Links(desk)


class Links:
    def __init__(self, desk):
        self.desk, self.site, self.fresh = desk, desk.site, desk.run.fresh_links

    def page(self, query="", ends_in_ms=None, kinds=("cover", "video"), **more):
        ends_at_ms = None if ends_in_ms is None else now_ms() + ends_in_ms
        media = tuple(MediaLink(kind, f"{self.site.url}/a.{kind}{query}", expires_at_ms=ends_at_ms) for kind in kinds)
        return PageRow("a", f"{self.site.url}/v/a", title="A fine title", media=media, **more)

    def first(self, *arguments, **named):
        page = self.page(*arguments, **named)
        self.desk.run.ledger.commit_crawl(pages=[page], selections=[Selected("a", "seed", None, 0)])

    def again(self, *arguments, **named):
        """The page as the collector reads it again."""
        self.fresh.commit([self.page(*arguments, **named)])

    def drain(self):
        self.desk.frontier.push(fresh_items(self.desk.run))
        self.desk.drain()

    def asked(self):
        return sorted(path for path in self.site.count() if path.startswith("/a."))

    def waiting(self):
        counts = self.fresh.counts()
        return counts["files"], counts["pages"]

    def stored(self):
        return {asset["kind"] for asset in self.desk.run.ledger.assets()}

    def refuse(self, *queries, status=403, body=b""):
        for query in queries:
            for kind in ("cover", "video"):
                self.site.script(f"/a.{kind}{query}", *[Reply(status, body)] * 9)

    def read_long_ago(self):
        with sqlite3.connect(self.desk.run.folder / "ledger.sqlite") as ledger:
            ledger.execute("UPDATE page SET visited_at_ms = visited_at_ms - ?", [HOUR_MS + 1000])
        ledger.close()


def test_a_link_that_is_known_to_have_ended_is_not_asked_for(links):
    """Both files wait for one reading of their page; with its links they are fetched, and nothing was lost."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    before = (links.waiting(), links.asked(), links.desk.frontier.open_count(["media"]))
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.drain()

    assert ((2, 1), [], 0) == before
    assert ["/a.cover?n=1", "/a.video?n=1"] == links.asked()
    assert ((0, 0), {"cover", "video"}, {}) == (links.waiting(), links.stored(), links.desk.reasons())
    assert {"expired"} == set(links.desk.run.ledger.failure_counts())


def test_fresh_links_are_used_before_anything_else(links):
    """Files with a fresh link go before all others of their host, the cover first."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.desk.add_page("b")
    links.desk.push()
    links.desk.frontier.push(fresh_items(links.desk.run))
    claimed = links.desk.frontier.claim("media", 10)

    assert ["a/cover@1", "a/video@1", "b/cover", "b/video"] == [item.name for item in claimed.items]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refused_link_that_can_end_is_handed_back(links, status):
    """The site may end its links sooner than they say: whoever is refused asks for another."""
    links.first("?n=0", ends_in_ms=HOUR_MS)
    links.refuse("?n=0", status=status)
    links.drain()
    before = links.waiting()
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.drain()

    assert ((2, 1), (0, 0)) == (before, links.waiting())
    assert ({"cover", "video"}, {}) == (links.stored(), links.desk.reasons())


@pytest.mark.parametrize("query", ["?n=0", "?signature=5d41"])
def test_other_refusals_are_believed(links, query):
    """A plain link, or a signed one of a page just read, is refused for good."""
    links.first(query)
    links.refuse(query)
    links.drain()

    assert {"a/cover": "private", "a/video": "private"} == links.desk.reasons()
    assert (0, 0) == links.waiting()


@pytest.mark.parametrize(("status", "body"), [(403, b""), (200, b"<html>This link has expired</html>")])
def test_an_old_signature_may_have_ended(links, status, body):
    """A signed link of a page that was read an hour ago is not believed: neither a refusal nor a page in its place."""
    links.first("?signature=5d41")
    links.read_long_ago()
    links.refuse("?signature=5d41", status=status, body=body)
    links.drain()

    assert (2, 1) == links.waiting()
    assert {} == links.desk.reasons()


def test_three_refused_fresh_links_are_believed(links):
    """A site that refuses each link that it has just given means it: its own reason stands, final."""
    links.first("?n=0", ends_in_ms=HOUR_MS)
    links.refuse(*(f"?n={number}" for number in range(9)), status=404)
    for number in range(1, 6):
        links.drain()
        links.again(f"?n={number}", ends_in_ms=HOUR_MS)

    assert [f"/a.{kind}?n={number}" for kind in ("cover", "video") for number in range(4)] == links.asked()
    assert {"a/cover": "gone", "a/video": "gone"} == links.desk.reasons()
    assert {"expired": 6, "gone": 2} == links.desk.run.ledger.failure_counts()


def test_links_that_always_end_in_the_queue_are_tried_in_the_end(links):
    """Whatever the clocks say, no file is sent round for ever: its last link is asked for."""
    links.first("?n=0", ends_in_ms=-1)
    for number in range(1, MOST_LINKS + 1):
        links.drain()
        links.again(f"?n={number}", ends_in_ms=-1)
    links.drain()

    assert [f"/a.cover?n={MOST_LINKS}", f"/a.video?n={MOST_LINKS}"] == links.asked()
    assert {"cover", "video"} == links.stored()


@pytest.mark.parametrize(
    ("page", "reasons"),
    [
        ({"failure": "gone"}, {"a/cover": "gone", "a/video": "gone"}),
        ({"refusal": "download_disabled"}, {"a/cover": "download_disabled", "a/video": "download_disabled"}),
        ({"kinds": ("video",)}, {"a/cover": "gone"}),
    ],
)
def test_what_the_page_no_longer_has_is_given_up(links, page, reasons):
    """A page that is gone, or refuses, or has lost a file, ends the file with that reason."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    links.again("?n=1", **page)
    links.drain()

    assert reasons == links.desk.reasons()
    assert (0, 0) == links.waiting()
    assert {f"a/{kind}" for kind in links.stored()} == {"a/cover", "a/video"} - set(reasons)


def test_a_page_that_could_not_be_read_is_read_again_by_retry(links):
    """A cause that has passed opens the files again, and their page with them."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    links.again(failure="timeout")
    before = links.desk.reasons()
    opened = reopen(links.desk.run, links.desk.frontier)
    wanted = links.waiting()
    links.again("?n=2", ends_in_ms=HOUR_MS)
    links.drain()

    assert {"a/cover": "timeout", "a/video": "timeout"} == before
    assert (2, (2, 1)) == (opened, wanted)
    assert ({"cover", "video"}, {}) == (links.stored(), links.desk.reasons())


def test_a_lost_redis_knows_the_fresh_links_again(links):
    """What waits is not pushed, what was given a link has that one, and what was given up is left alone."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    links.desk.lose_redis()
    waiting = links.desk.push()
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.desk.lose_redis()
    links.desk.drain()

    assert 0 == waiting
    assert ["/a.cover?n=1", "/a.video?n=1"] == links.asked()


def test_a_reading_for_one_file_serves_the_next(links):
    """A link that ends after its page was read again for another file gets its fresh one without a request."""
    links.first("?n=0", ends_in_ms=HOUR_MS)
    links.site.script("/a.cover?n=0", Reply(403))
    links.site.script("/a.video?n=0", Reply(500), Reply(403))
    while not (links.site.count()["/a.cover?n=0"] and links.site.count()["/a.video?n=0"]):
        links.desk.drain(0.1)
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.drain()

    assert (0, 0) == links.waiting()
    assert {"cover", "video"} == links.stored()


def test_asking_twice_is_one_wish(links):
    """Two nodes that hold one item, as after a lost lease, make one reading and one file."""
    links.first("?n=0", ends_in_ms=-1)
    links.drain()
    links.desk.lose_redis()
    links.desk.frontier.push(links_of_first_visit(links))
    links.desk.drain()
    before = links.waiting()
    links.again("?n=1", ends_in_ms=HOUR_MS)
    links.again("?n=2", ends_in_ms=HOUR_MS)
    links.drain()

    assert (2, 1) == before
    assert ["/a.cover?n=1", "/a.video?n=1"] == links.asked()


def links_of_first_visit(links):
    """The items as they were pushed at first."""
    return [item for page in links.desk.run.ledger.pages() for item in media_items(page, links.desk.run.recipe.media)]

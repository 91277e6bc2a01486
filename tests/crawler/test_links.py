"""Pages that are read again because their media links have run out: once for all files, and for nothing else."""

import time

import pytest
import redis

from microlens.fresh_links import NOT_ASKED, Expired, FreshLinks
from microlens.frontier import Frontier
from microlens.recipe import Politeness
from tests.crawler.command import Command
from tests.crawler.site import Reply, Video
from tests.crawler.test_crawl import fill

QUICK = Politeness(requests_per_second=1000, concurrency=9)


@pytest.fixture
def links(shared_crawl, site):
    """A finished crawl of some videos with files."""
    return Links(shared_crawl, site)


class Links:
    def __init__(self, crawl, site):
        self.crawl, self.site = crawl, site

    def first(self, count=3, **changes):
        names = fill(self.site, count)
        for name in names:
            self.show(name, 0)
        self.crawl(self.site, **changes)
        self.path, self.environment = self.crawl.prepare(self.site, **changes)
        self.site.asked.clear()
        return names

    def show(self, name, number):
        """Have a page show links of that number."""
        media = {kind: f"{self.site.url}/{name}.{kind}?n={number}" for kind in ("cover", "video")}
        self.site.videos[name] = Video(media=media, title=f"Title {number}", likes=50_000 + number)

    def expire(self, *names, kinds=("cover", "video")):
        """What nodes write down of files whose links have run out."""
        self._with(lambda fresh: fresh.expire(Expired(name, kind, 0, NOT_ASKED) for name in names for kind in kinds))

    def look(self):
        """What is waited for, and the links that were given, by video and kind."""
        counts = self._with(lambda fresh: fresh.counts())
        given = self._with(lambda fresh: fresh.given())
        return counts["files"], {key: one.media for key, one in given.items()}

    def _with(self, look):
        ledger = self.crawl.ledger
        try:
            return look(FreshLinks(ledger, "sandbox"))
        finally:
            ledger.close()

    def start(self, *arguments):
        return Command(list(arguments) or ["crawl", self.path], self.crawl.folder, self.environment)

    def __call__(self, *arguments, expect=0):
        code, said = self.start(*arguments).wait()
        assert expect == code, said
        return said

    def pages(self):
        return {path: count for path, count in self.site.count().items() if path.startswith("/v/")}

    def reasons(self):
        ledger = self.crawl.ledger
        try:
            return {row["name"]: row["reason"] for row in ledger.final_failures("media")}
        finally:
            ledger.close()

    def wait_for(self, is_so):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not is_so():
            time.sleep(0.05)
        assert is_so()

    def frontier(self):
        return Frontier(redis.Redis.from_url(self.crawl.redis_url), self.crawl.shared_name, QUICK)


def test_a_page_is_read_once_for_all_its_files(links):
    """Two files of one video wait: their page is asked for once, and nothing else of what it says is taken."""
    links.first()
    before = links.crawl.look()
    facts = [(page.title, page.like_count, page.media) for page in pages_of(links)]
    links.expire("v1")
    links.show("v1", 1)
    links()
    waiting, given = links.look()

    assert {"/v/v1": 1} == links.pages()
    assert (0, {("v1", "cover"), ("v1", "video")}) == (waiting, set(given))
    assert {f"{links.site.url}/v1.{kind}?n=1" for kind in ("cover", "video")} == {
        link.url for link in given["v1", "video"]
    }
    assert before == links.crawl.look()
    assert facts == [(page.title, page.like_count, page.media) for page in pages_of(links)]


def pages_of(links):
    ledger = links.crawl.ledger
    try:
        return ledger.pages()
    finally:
        ledger.close()


def test_the_files_are_due_again_with_their_new_links(links):
    """The frontier has them under names of their own, ahead of the rest."""
    links.first(1)
    links.expire("v0", kinds=("video",))
    links.show("v0", 1)
    links()
    items = links.frontier().claim("media", 9).items

    assert [("v0/video@1", "1"), ("v0/cover", "0"), ("v0/video", "0")] == [(i.name, i.url[-1]) for i in items]


def test_a_limit_reads_no_page_again(links):
    """`--limit` counts pages of the crawl; what waits for links goes on waiting."""
    links.first()
    links.expire("v1")
    links("crawl", links.path, "--limit", "5")

    assert ({}, 2) == (links.pages(), links.look()[0])


def test_whatever_the_page_answers_is_the_files_end(links):
    """Gone, closed, tagged, unreadable or in trouble: the files end with the page's reason; trouble is tried again."""
    links.first(6, politeness={"max_attempts": 2})
    links.expire(*(f"v{number}" for number in range(6)), kinds=("video",))
    del links.site.videos["v0"]
    links.site.script("/v/v1", Reply(403))
    links.site.script("/v/v2", Reply(200, b"<html></html>", {"X-Robots-Tag": "noai"}))
    links.site.videos["v3"].is_changed = True
    links.site.script("/v/v4", Reply(500), Reply(500))
    links.site.script("/v/v5", Reply(500))
    links()
    reasons = links.reasons()
    links.site.videos["v3"].is_changed = False
    links("retry")
    links()

    final = {"v0/video": "gone", "v1/video": "private", "v2/video": "robots_noai"}
    assert {**final, "v3/video": "page_changed", "v4/video": "server_error"} == reasons
    assert (final, 0) == (links.reasons(), links.look()[0])


def test_a_collector_that_stays_reads_what_comes(links):
    """`crawl --forever` waits for nodes to ask, and ends well when it is told to."""
    links.first()
    running = links.start("crawl", links.path, "--forever")
    links.expire("v0")
    links.wait_for(lambda: links.look()[0] == 0)
    links.expire("v1", "v2")
    links.wait_for(lambda: links.look()[0] == 0)
    running.stop()
    code, said = running.wait()

    assert 0 == code, said
    assert {f"/v/v{number}": 1 for number in range(3)} == links.pages()


def test_two_collectors_read_each_page_once(links):
    """Whoever comes first reads a page; the other learns of it."""
    names = links.first(30, politeness={"requests_per_second": 60})
    links.expire(*names)
    both = [links.start() for _ in range(2)]
    said = [running.wait() for running in both]

    assert [0, 0] == [code for code, _ in said], said
    assert {f"/v/{name}": 1 for name in names} == links.pages()
    assert 0 == links.look()[0]


def test_killed_it_loses_nothing(links):
    """A collector that is killed in between leaves the rest to the next; what was read is not read again."""
    names = links.first(30, politeness={"requests_per_second": 20})
    links.expire(*names)
    running = links.start()
    links.wait_for(lambda: links.look()[0] < 2 * len(names))
    running.stop(9)
    running.wait()
    done = {video for (video, _), media in links.look()[1].items() if media}
    links()

    assert done
    assert {1} == {links.pages()[f"/v/{name}"] for name in done}
    assert 0 == links.look()[0]


def test_a_lost_redis_gets_what_is_wanted(links):
    """`recover` pushes the pages that are to be read again, and the files that have their links."""
    links.first()
    links.expire("v0")
    links()
    links.expire("v1", "v2")
    frontier = links.frontier()
    frontier.clear()
    links("recover")

    assert (2, 2) == (frontier.open_count(["links"]), frontier.open_count(["media"]))


def test_status_tells_what_waits(links):
    """So many files, so many pages; and an endless crawl with a limit is refused."""
    links.first()
    links.expire("v0", "v1")

    assert "4 files wait for fresh links: 2 pages are to be read again" in links("status")
    assert "no end" in links("crawl", links.path, "--forever", "--limit", "3", expect=2)

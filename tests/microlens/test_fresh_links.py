"""Links that have run out, in the ledger: asked for once, answered for all who wait, taken back."""

import pytest

from microlens.fresh_links import NOT_ASKED, Expired, FreshLinks
from microlens.ledger_rows import PageRow
from microlens.records import MediaLink

COVER, VIDEO = MediaLink("cover", "http://site.test/c?2"), MediaLink("video", "http://site.test/v?2")


@pytest.fixture
def links(ledger):
    ledger.commit_crawl(pages=[PageRow(name, f"http://site.test/{name}", media=(COVER, VIDEO)) for name in ("a", "b")])
    return FreshLinks(ledger, "sandbox")


def test_a_page_is_wanted_once_for_all_that_waits(links):
    """Two assets of one video make one page, however often they ask; the longest wanted comes first."""
    for _ in range(2):
        links.expire([Expired("b", "video", 0, "gone", 404), Expired("a", "cover", 0, NOT_ASKED)])
        links.expire([Expired("b", "cover", 0, "private", 403)])

    assert ["http://site.test/b", "http://site.test/a"] == [item.url for item in links.wanted()]
    assert {"files": 3, "pages": 2} == links.counts()


def test_a_reading_answers_all_who_wait(links, ledger):
    """What the page shows now is given to its assets; one that it shows no more is given up."""
    links.expire([Expired("a", "video", 0, "gone"), Expired("a", "cover", 0, "gone")])
    links.commit([PageRow("a", "http://site.test/a", media=(VIDEO,))])
    given = links.given(["a", "b"])

    assert ((VIDEO,), 1) == (given["a", "video"].media, given["a", "video"].link)
    assert {"a/cover"} == links.given_up(["a/cover", "a/video"])
    assert ["gone"] == [row["reason"] for row in ledger.final_failures("media")]
    assert [] == links.wanted()


def test_a_reading_that_failed_can_be_taken_back(links):
    """Then its page is wanted again."""
    links.expire([Expired("a", "video", 0, "gone")])
    links.commit([PageRow("a", "http://site.test/a", failure="timeout")])
    before, taken = links.wanted(), links.take_back(["timeout"])

    assert [] == before
    assert taken == links.wanted() != []
    assert [] == links.take_back(["timeout"])

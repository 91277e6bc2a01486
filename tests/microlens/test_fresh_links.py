"""Fresh links in the ledger: one wish however often it is made, one reading for all who wait, and nobody forgotten."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from microlens import fresh_links as fresh_links_module
from microlens import ledger as ledger_module
from microlens.fresh_links import NOT_ASKED, OLD_MS, Expired, FreshLinks, Given
from microlens.ledger_rows import PageRow
from microlens.records import MediaLink

KINDS = ("cover", "video")


def page(video_id, number=0, *, ends_at_ms=None, kinds=KINDS, **more):
    links = (
        MediaLink(kind, f"http://site.test/{video_id}.{kind}?{number}", expires_at_ms=ends_at_ms) for kind in kinds
    )
    return PageRow(video_id, f"http://site.test/{video_id}", media=tuple(links), **more)


def expired(video_id, kind="video", link=0, reason=NOT_ASKED):
    return Expired(video_id, kind, link, reason)


@pytest.fixture
def fresh(ledger):
    ledger.commit_crawl(pages=[page(video_id) for video_id in "abc"])
    return FreshLinks(ledger, "sandbox")


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, in milliseconds."""

    class Clock:
        at_ms = 10 * OLD_MS

    for module in (ledger_module, fresh_links_module):
        monkeypatch.setattr(module, "now_ms", lambda: Clock.at_ms)
    return Clock


def reasons(ledger):
    return {row["name"]: row["reason"] for row in ledger.final_failures("media")}


def test_a_wish_made_by_many_is_one(fresh):
    """Whoever finds a link ended, and however many at once: the page is wanted once, until it was read."""
    with ThreadPoolExecutor(4) as nodes:
        list(nodes.map(lambda kind: fresh.expire([expired("a", kind)]), KINDS * 8))
    before = fresh.wanted(), fresh.counts()
    fresh.commit([page("a", 1), page("a", 2)])

    assert ["a"] == [item.payload["video_id"] for item in before[0]]
    assert {"files": 2, "pages": 1} == before[1]
    assert ([], {"files": 0, "pages": 0}) == (fresh.wanted(), fresh.counts())
    assert {("a", kind): Given(1, 0, page("a", 1).media) for kind in KINDS} == fresh.given()


def test_each_reading_has_a_name_of_its_own(fresh):
    """A page that is wanted a second time is another item: the frontier must not take it for the first."""
    fresh.expire([expired("a")])
    first = fresh.wanted()
    fresh.commit([page("a", 1)])
    fresh.expire([expired("a", link=1)])

    assert first[0].name != fresh.wanted()[0].name
    assert first[0].url == fresh.wanted()[0].url


def test_nobody_is_answered_by_the_link_that_ran_out(fresh):
    """The newest reading serves another file, but not the one whose link came from it."""
    fresh.expire([expired("a", "cover")])
    fresh.commit([page("a", 1)])
    fresh.expire([expired("a", "video")])
    served = fresh.counts()["files"]
    fresh.expire([expired("a", "cover", 1)])

    assert (0, 1) == (served, fresh.counts()["files"])
    assert Given(2, 0, ()) == fresh.given()["a", "cover"]
    assert page("a", 1).media == fresh.given()["a", "video"].media


@pytest.mark.parametrize(
    ("ends_in_ms", "later_ms", "waiting"),
    [(1000, 999, 0), (1000, 1000, 1), (None, OLD_MS - 1, 0), (None, OLD_MS, 1), (2 * OLD_MS, OLD_MS, 0)],
)
def test_an_old_reading_serves_nobody_new(fresh, clock, ends_in_ms, later_ms, waiting):
    """What has ended by now, or was read an hour ago and says no end, is no fresh link."""
    fresh.expire([expired("a", "cover")])
    fresh.commit([page("a", 1, ends_at_ms=ends_in_ms and clock.at_ms + ends_in_ms)])
    clock.at_ms += later_ms
    fresh.expire([expired("a", "video")])

    assert waiting == fresh.counts()["files"]


def test_refusals_are_counted_apart(fresh):
    """Of fresh links only those count as refused that the site was asked for; the first visit's is none."""
    for link, reason in enumerate(["private", NOT_ASKED, "private", "gone"]):
        fresh.expire([expired("a", link=link, reason=reason)])
        fresh.commit([page("a", link + 1)])

    assert Given(4, 2, page("a", 4).media) == fresh.given(["a"])["a", "video"]
    assert {} == fresh.given(["b"])


def test_who_gets_no_link_is_given_up(ledger, fresh):
    """By the page's failure or refusal, or `gone` where it shows no such file any more; all others go on."""
    fresh.expire(expired(video_id, kind) for video_id in "abc" for kind in KINDS)
    fresh.commit([page("a", failure="private"), page("b", refusal="sensitive"), page("c", 1, kinds=("cover",))])

    failed = {"a/cover": "private", "a/video": "private", "b/cover": "sensitive", "b/video": "sensitive"}
    assert {**failed, "c/video": "gone"} == reasons(ledger)
    assert {"a/video", "c/video"} == fresh.given_up(["a/video", "c/video", "c/cover"])


def test_a_failed_reading_is_taken_back(fresh):
    """Only for the reasons that are named; the page is then wanted under the name that it had."""
    fresh.expire([expired("a"), expired("b"), expired("c")])
    names = {item.payload["video_id"]: item.name for item in fresh.wanted()}
    fresh.commit([page("a", failure="timeout"), page("b", failure="gone")])
    again = fresh.take_back({"timeout"})

    assert [names["a"]] == [item.name for item in again]
    assert {names["a"], names["c"]} == {item.name for item in fresh.wanted()}
    assert [] == fresh.take_back({"timeout"})


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_in_any_order(ledger, fresh, seed):
    """Whatever order wishes and readings come in, repeated or not: each file waits, has a link, or is given up."""
    dice, standing = random.Random(seed), {}
    for _ in range(60):
        video_id, kind = dice.choice("abc"), dice.choice(KINDS)
        if dice.random() < 0.6:
            one = expired(video_id, kind, standing.get((video_id, kind), 0))
            fresh.expire([one] * dice.choice([1, 2]))
            if dice.random() < 0.5 and fresh.given()[video_id, kind].media:
                standing[video_id, kind] = fresh.given()[video_id, kind].link
        else:
            failure = dice.choice([None, None, "timeout"])
            fresh.commit([page(video_id, dice.randrange(99), failure=failure)])
        waiting = {item.payload["video_id"] for item in fresh.wanted()}
        for (video_id, kind), given in fresh.given().items():
            assert given.media or video_id in waiting or f"{video_id}/{kind}" in reasons(ledger)

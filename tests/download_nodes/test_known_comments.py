"""Comments read again: no further than they have changed, and never less than they have."""

import random

import pyarrow.parquet as pq
import pytest

from download_nodes.known_comments import KnownComments
from microlens.comment_lists import that_stand
from microlens.errors import CorruptDataError
from microlens.platforms.sandbox import SandboxPlatform
from microlens.records import Failure
from tests.crawler.site import Reply, comment

OLD = [comment(number, f"user-{number % 4}") for number in range(20, 8, -1)]
"""Twelve comments, the newest first, on six pages."""

EVERYTHING_MS = 2**50
"""A moment before which all was read."""


@pytest.fixture
def video(desk):
    """A run with one video whose comments were collected once."""

    def make(**comments):
        desk.make(comments={"when": "always", **comments})
        desk.add_page("v", media={})
        desk.site.comments["v"] = list(OLD)
        desk.drain()
        return desk

    return make


def refresh(desk):
    """Read the video's page again, and its comments with it; gives how many pages of comments were asked for."""
    before = asked(desk)
    opened = desk.run.refreshes.begin(EVERYTHING_MS)
    (page,) = desk.run.ledger.pages(["v"])
    desk.run.refreshes.commit(opened.number, [page], None)
    desk.run.refreshes.finish(opened.number)
    desk.drain()
    return asked(desk) - before


def asked(desk):
    return sum(count for path, count in desk.site.count().items() if path.startswith("/api/"))


def standing(desk):
    """The comments that stand, by the site's own ids, the newest first; and how each reading was made."""
    lists = desk.run.ledger.comment_lists()
    raw_ids = [f"c{number}" for number in range(40)]
    raw_of = dict(zip(desk.run.pseudonyms.comment_keys("sandbox", raw_ids), raw_ids, strict=True))
    rows = [row for one in that_stand(lists) if one.path for row in rows_of(desk, one)]
    newest_first = sorted(rows, key=lambda row: row["commented_at_ms"], reverse=True)
    return [raw_of[row["comment_id"]] for row in newest_first], [(one.is_full, one.comments) for one in lists]


def rows_of(desk, one):
    return pq.read_table(desk.run.folder / one.path, filters=[("video_id", "==", one.video_id)]).to_pylist()


def ids(rows):
    return [row["id"] for row in rows]


def test_an_unchanged_video_takes_one_request(video):
    """The first page shows known comments and the known count: nothing more is asked for, and nothing written."""
    desk = video()

    assert 1 == refresh(desk)
    assert (ids(OLD), [(True, 12), (False, 0)]) == standing(desk)
    assert 1 == len(desk.run.ledger.parts("comments"))
    assert [] == list(desk.run.spool.iterdir())


def test_new_comments_are_read_down_to_the_newest_known(video):
    """Three new comments on pages of two: two pages, and only the new ones in the new part."""
    desk = video()
    desk.site.comments["v"] = [comment(number, "user-9") for number in (23, 22, 21)] + OLD

    assert 2 == refresh(desk)
    assert (["c23", "c22", "c21", *ids(OLD)], [(True, 12), (False, 3)]) == standing(desk)
    assert 15 == desk.run.ledger.collected()["v"]


@pytest.mark.parametrize("gone", [0, 5, 11])
def test_a_deleted_comment_leaves(video, gone):
    """The count says that one is missing, so the whole list is read and replaces the old one."""
    desk = video()
    desk.site.comments["v"] = [comment(21, "user-9"), *OLD[:gone], *OLD[gone + 1 :]]

    assert 6 == refresh(desk)
    assert (ids(desk.site.comments["v"]), [(True, 12), (True, 12)]) == standing(desk)


def test_several_refreshes_add_up(video):
    """An addition builds on the additions before it, and a whole list begins anew."""
    desk = video()
    for newest_number, lost in ((21, 0), (22, 0), (23, 1), (24, 0)):
        desk.site.comments["v"] = [comment(newest_number, "u"), *desk.site.comments["v"]]
        del desk.site.comments["v"][5 : 5 + lost]
        refresh(desk)

    assert ids(desk.site.comments["v"]) == standing(desk)[0]
    assert [True, False, False, True, False] == [is_full for is_full, _ in standing(desk)[1]]


def test_a_site_that_does_not_count_is_read_whole(video):
    """Without a count nobody can tell that nothing was deleted."""
    desk = video()
    desk.site.counts_comments = False

    assert [6, 6] == [refresh(desk), refresh(desk)]
    assert ids(OLD) == standing(desk)[0]


def test_a_list_of_no_known_order_is_read_whole(video, monkeypatch):
    """An adapter that does not say that the newest come first is believed."""
    desk = video()
    monkeypatch.delattr(SandboxPlatform, "newest_first")

    assert 6 == refresh(desk)
    assert ids(OLD) == standing(desk)[0]


@pytest.mark.parametrize("total", [-1, 2**40, "many"])
def test_a_count_that_is_none_is_no_count(video, total):
    """What no column holds, or is no number, does not end the reading early, nor the node."""
    desk = video()
    first = '{"comments": [], "next": null, "total": %s}' % (f'"{total}"' if isinstance(total, str) else total)
    desk.site.script("/api/videos/v/comments?limit=100", Reply(body=first.encode()))
    refresh(desk)

    assert [] == standing(desk)[0]


def test_the_limit_holds_for_old_and_new(video):
    """Of a list that is longer than the limit no more than that is read, and an unchanged one is one request."""
    desk = video(max_per_video=4)
    first = refresh(desk)
    desk.site.comments["v"] = [comment(number, "u") for number in range(30, 20, -1)] + OLD
    second = refresh(desk)

    assert (1, 2) == (first, second)
    assert ["c30", "c29", "c28", "c27"] == standing(desk)[0]


def test_a_node_that_died_goes_on_where_it_stopped(video):
    """What was read of a refresh before is not asked for again, and the count of its first page still holds."""
    desk = video()
    desk.site.comments["v"] = [comment(number, "u") for number in range(26, 20, -1)] + OLD
    third = "/api/videos/v/comments?limit=100&cursor=4"
    desk.site.script(third, *[Reply(500)] * 2)
    refresh(desk)
    given_up = desk.reasons("comments")
    desk.frontier.forget(desk.run.ledger.reopen_failures(["server_error"]))
    before = asked(desk)
    desk.drain()

    assert {"v@1": "server_error"} == given_up
    assert 2 == asked(desk) - before
    assert (ids(desk.site.comments["v"]), [(True, 12), (False, 6)]) == standing(desk)


def test_comments_that_were_never_collected_are_read_whole(desk):
    """A video whose first reading failed for good gets its first list in a refresh."""
    desk.make(comments={"when": "always"})
    desk.add_page("v", media={})
    desk.site.comments["v"] = list(OLD)
    desk.run.ledger.record_failure(Failure("comments", "v", "sandbox", "v", "u", "timeout", None, 5, is_final=True))

    assert 6 == refresh(desk)
    assert (ids(OLD), [(True, 12)]) == standing(desk)


def test_a_part_that_is_lost_is_named(video):
    """Without the part nobody knows what is new: the node says which file it misses."""
    desk = video()
    (part,) = desk.run.ledger.parts("comments")
    (desk.run.folder / part.path).unlink()

    with pytest.raises(CorruptDataError, match=part.part_id):
        refresh(desk)


@pytest.mark.parametrize("seed", range(40))
def test_on_a_flat_list_the_rule_is_exact(seed):
    """Read from the top, enough is found if and only if nothing was deleted, and then the sum is the truth."""
    dice = random.Random(seed)
    old = [f"c{number}" for number in range(dice.randrange(1, 30))]
    kept = [one for one in old if dice.random() > dice.choice([0, 0, 0.1])]
    new = [f"n{number}" for number in range(dice.randrange(6))]
    now, size = [*new, *kept], dice.randrange(1, 5)
    known = KnownComments(frozenset(old), len(old))
    found = []
    for start in range(0, len(now), size):
        found += now[start : start + size]
        if known.is_enough(found, len(now)):
            break

    is_enough = known.is_enough(found, len(now))
    assert (kept == old) == is_enough
    assert not is_enough or {*old, *known.added(found)} == set(now)

"""What integration takes of a run that was refreshed: the newest word on each video, and the comments that stand."""

import pyarrow as pa
import pytest

from microlens.errors import NotReadyError
from microlens.ledger_rows import PageRow
from microlens.parts import write_part
from microlens.records import Failure, MediaLink
from microlens.tables import CRAWLED_VIDEOS
from tests.integration.made import START_MS, comment_key, commit_comments, release_table, video_row, world

EVERYTHING_MS = 2**50
"""A moment before which all was read."""


@pytest.fixture
def made():
    return world(3, videos=5, users=8, comments=60)


@pytest.fixture
def small(small, made):
    """A run of five videos, their comments in one part."""
    return small.fill(made)


class Day:
    """One refresh of a made run."""

    def __init__(self, small):
        self.run = small.run
        self.number = self.run.refreshes.begin(EVERYTHING_MS).number

    def visit(self, video_id, *, failure=None, refusal=None, **told):
        """Read a page again, or fail to; the page of the first crawl, with what is told now."""
        (page,) = self.run.ledger.pages([video_id])
        if failure is not None:
            self.run.refreshes.commit(self.number, [PageRow(video_id, page.url, failure=failure)], None)
            return
        row = video_row(video_id, crawled_at_ms=START_MS + self.number, **told)
        part = write_part(self.run.folder, "videos", pa.Table.from_pylist([row], schema=CRAWLED_VIDEOS))
        media = tuple(MediaLink(kind, f"http://127.0.0.1:1/{video_id}.{kind}") for kind in ("cover", "video"))
        now = PageRow(video_id, page.url, title=row["title"], refusal=refusal, media=media)
        self.run.refreshes.commit(self.number, [now], part)

    def read(self, rows_by_video, additions=()):
        """Commit readings of these videos' comments as one part."""
        rows = [row for own in rows_by_video.values() for row in own]
        commit_comments(self.run, rows_by_video, rows, refresh=self.number, additions=additions)

    def give_up_comments(self, video_id, reason):
        name = f"{video_id}@{self.number}"
        self.run.ledger.record_failure(Failure("comments", name, "sandbox", video_id, "u", reason, 403, 1, True))

    def end(self, *others):
        """Videos that are as they were: their pages are read, and no comment has come."""
        for video_id in others:
            self.visit(video_id, title=f"Title {video_id}")
        self.read({video_id: [] for video_id in others}, additions=others)
        self.run.refreshes.finish(self.number)


def rows_of(made, video_id):
    return [row for row in made.comments if row["video_id"] == video_id]


def pairs(small):
    """(video, time) of the integrated interactions."""
    return sorted((row["video_id"], row["commented_at_ms"]) for row in small.table("interactions"))


def earliest(rows):
    """The same, by hand: each user's earliest comment on each video."""
    first = {}
    for row in sorted(rows, key=lambda row: (row["commented_at_ms"], row["comment_id"])):
        first.setdefault((row["user"], row["video_id"]), (row["video_id"], row["commented_at_ms"]))
    return sorted(first.values())


def new(video_id, number, user="raw-new", text="new"):
    return {
        "video_id": video_id,
        "comment_id": comment_key(f"d{number:04d}"),
        "user": user,
        "text": text,
        "gender": None,
        "commented_at_ms": START_MS + 10**12 + number,
    }


def test_a_whole_list_replaces_and_an_addition_adds(small, made):
    """Of v0 half is gone and replaced, v1 has gained two, the rest is as it was; rows of one old part are split."""
    small.integrate()
    before = pairs(small)
    half = rows_of(made, "v0")[::2]
    day = Day(small)
    for video_id in ("v0", "v1"):
        day.visit(video_id, title=f"Title {video_id}")
    day.read({"v0": half, "v1": [new("v1", 1), new("v1", 2)]}, additions={"v1"})
    day.end("v2", "v3", "v4")
    _, is_new = small.integrate()

    others = [row for row in made.comments if row["video_id"] != "v0"]
    assert is_new
    assert earliest(made.comments) == before
    assert earliest([*others, *half, new("v1", 1)]) == pairs(small)
    assert (small.integrate()[1], before != pairs(small)) == (False, True)


def test_texts_are_those_that_stand(small, made):
    """A comment that was edited, and read again with the whole list, is published as it is now."""
    day = Day(small)
    day.visit("v0", title="Title 0")
    edited = [{**row, "text": "edited"} for row in rows_of(made, "v0")]
    day.read({"v0": edited})
    day.end("v1", "v2", "v3", "v4")
    small.integrate()
    built = small.subset()
    items = small.ids("out", "item")

    texts = {row["text"] for row in release_table(built, "comments") if row["item_id"] == items["v0"]}
    assert {"edited"} == texts


def test_an_edited_text_makes_a_new_release(small, made):
    """Though not one pair has changed; the same texts again do not."""
    small.integrate()
    first, again = small.subset(), small.subset()
    day = Day(small)
    for name in ("v0", "v1", "v2", "v3", "v4"):
        day.visit(name, title=f"Title {name}")
    day.read({name: [{**row, "text": "edited"} for row in rows_of(made, name)] for name in made.videos})
    day.end()
    before = pairs(small)
    small.integrate()
    edited = small.subset()

    assert [True, False, True] == [one.is_new for one in (first, again, edited)]
    assert before == pairs(small)
    assert {"edited"} == {row["text"] for row in release_table(edited, "comments")}


def test_the_newest_page_is_the_items(small):
    """Title and counts are those of the last visit; every visit stays in the snapshots."""
    day = Day(small)
    day.visit("v0", title="A new title", like_count=99_999)
    day.read({"v0": []}, additions={"v0"})
    day.end("v1", "v2", "v3", "v4")
    small.integrate()

    (item,) = [row for row in small.table("items") if row["video_id"] == "v0"]
    snapshots = [row["like_count"] for row in small.table("snapshots") if row["video_id"] == "v0"]
    assert ("A new title", 99_999) == (item["title"], item["like_count"])
    assert 2 == len(snapshots)
    assert 99_999 == snapshots[-1]


@pytest.mark.parametrize("failure", ["gone", "private", "robots", "robots_noai"])
def test_what_is_refused_for_good_leaves(small, failure):
    """A video whose newest visit was refused for good is dropped with that reason, and its snapshots with it."""
    day = Day(small)
    day.visit("v0", failure=failure)
    day.end("v1", "v2", "v3", "v4")
    small.integrate()

    verdicts = {row["video_id"]: row["reason"] for row in small.table("verdicts")}
    assert {"v0": failure, **dict.fromkeys(["v1", "v2", "v3", "v4"])} == verdicts
    assert "v0" not in {row["video_id"] for name in ("interactions", "snapshots") for row in small.table(name)}


def test_an_owners_new_refusal_counts(small):
    """A page that now says that its media must not be taken makes the video leave."""
    day = Day(small)
    day.visit("v0", title="Title 0", refusal="download_disabled")
    day.end("v1", "v2", "v3", "v4")
    small.integrate()

    assert "download_disabled" == {row["video_id"]: row["reason"] for row in small.table("verdicts")}["v0"]


@pytest.mark.parametrize("failure", ["timeout", "server_error", "page_changed"])
def test_what_may_pass_changes_nothing(small, made, failure):
    """A page that could not be read this time leaves the video as it was, comments included."""
    day = Day(small)
    day.visit("v0", failure=failure)
    day.end("v1", "v2", "v3", "v4")
    small.integrate()

    assert 5 == len(small.table("items"))
    assert earliest(made.comments) == pairs(small)


def test_a_video_may_come_back(small, made):
    """What had gone in one refresh and is there in the next is in again, with what is known of it."""
    first = Day(small)
    first.visit("v0", failure="private")
    first.end("v1", "v2", "v3", "v4")
    small.integrate()
    kept = [row["video_id"] for row in small.table("items")]
    Day(small).end("v0", "v1", "v2", "v3", "v4")
    small.integrate()

    assert ["v1", "v2", "v3", "v4"] == kept
    assert earliest(made.comments) == pairs(small)


@pytest.mark.parametrize(("reason", "stay"), [("private", False), ("gone", False), ("timeout", True)])
def test_comments_that_were_closed_leave(small, made, reason, stay):
    """Comments refused for good are no longer public; where it may pass, the older list stands."""
    day = Day(small)
    day.visit("v0", title="Title 0")
    day.give_up_comments("v0", reason)
    day.end("v1", "v2", "v3", "v4")
    small.integrate()

    left = [row for row in made.comments if stay or row["video_id"] != "v0"]
    assert earliest(left) == pairs(small)


def test_an_unfinished_refresh_is_not_integrated(small):
    """Neither pages nor comments may be missing, unless what there is will do."""
    day = Day(small)
    day.visit("v0", title="Title 0")
    with pytest.raises(NotReadyError, match="refresh 1"):
        small.integrate()
    small.integrate(is_partial=True)
    day.end("v1", "v2", "v3", "v4")
    with pytest.raises(NotReadyError, match="comments of 1 videos"):
        small.integrate()
    day.read({"v0": []}, additions={"v0"})

    assert small.integrate()[1]

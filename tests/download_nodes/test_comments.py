"""Comments: every page once, kept before the next; no raw id on disk; one commit whoever finishes."""

import asyncio
import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from download_nodes.comment_parts import CommentParts
from download_nodes.spool import Comments, Spool, spool_path
from microlens.backlog import comments_item
from tests.crawler.site import Reply, comment
from tests.download_nodes.desk import PLATFORM

FIRST = "/api/videos/v/comments?limit=100"
ROWS = [comment(number, f"raw-user-{number % 3}", f"text {number}") for number in range(9)]


@pytest.fixture
def video(desk):
    """A run whose one video is wanted for its comments alone, five pages of them."""

    def make(**comments):
        desk.make(comments={"when": "always", **comments})
        desk.add_page("v", media={})
        desk.site.comments["v"] = list(ROWS)
        return desk

    return make


def page(number):
    return FIRST if number == 1 else f"{FIRST}&cursor={2 * number - 2}"


def drain_until(desk, path):
    """A node that dies when a page has been asked for."""
    desk.push()

    async def work():
        async with desk.node() as node:
            drain = asyncio.ensure_future(node.drain(30))
            while not desk.site.count()[path]:  # noqa: ASYNC110 - the site lives in another thread
                await asyncio.sleep(0.01)
            for task in [drain, *node._in_work]:
                task.cancel()
            await asyncio.gather(drain, *node._in_work, return_exceptions=True)

    asyncio.run(work())


def test_every_page_is_asked_for_once(video):
    """Each page and each comment once, in a part that the ledger lists."""
    desk = video()
    desk.drain()

    assert {page(number): 1 for number in range(1, 6)} == {
        path: times for path, times in desk.site.count().items() if path.startswith("/api/")
    }
    assert {"v": 9} == desk.run.ledger.collected()
    assert {row["id"] for row in ROWS} == {row["comment_id"] for row in desk.comments()}
    assert [] == list(desk.run.spool.iterdir())


def test_a_node_that_dies_leaves_whole_pages(video):
    """What was read before is in the spool, a line a page; the next node asks for the rest alone."""
    desk = video()
    desk.site.script(page(3), Reply(body=b"{}" * 9, pause_s=30))
    drain_until(desk, page(3))
    (spool,) = desk.run.spool.iterdir()
    lines = spool.read_bytes().splitlines()

    assert 2 == len(lines)
    assert {} == desk.run.ledger.collected()
    assert [] == desk.files_that_hold("raw-user-")

    desk.lose_redis()
    desk.drain()

    assert [1, 1, 2, 1, 1] == [desk.site.count()[page(number)] for number in range(1, 6)]
    assert 9 == len(desk.comments())
    assert [row["id"] for row in ROWS] == sorted(row["comment_id"] for row in desk.comments())


def test_a_torn_line_is_dropped(video):
    """A half-written page is asked for again, and its rows count once."""
    desk = video()
    desk.site.script(page(3), Reply(body=b"{}" * 9, pause_s=30))
    drain_until(desk, page(3))
    (spool,) = desk.run.spool.iterdir()
    whole = spool.read_bytes()
    first, second = whole.splitlines(keepends=True)
    spool.write_bytes(first + second[: len(second) // 2])
    desk.lose_redis()
    desk.drain()

    assert [1, 2] == [desk.site.count()[page(number)] for number in (1, 2)]
    assert [row["id"] for row in ROWS] == sorted(row["comment_id"] for row in desk.comments())


def test_a_failure_in_the_midst_is_tried_from_there(video):
    """A server error on a page costs a second request of that page alone."""
    desk = video()
    desk.site.script(page(4), Reply(500))
    desk.drain()

    assert [1, 1, 1, 2, 1] == [desk.site.count()[page(number)] for number in range(1, 6)]
    assert 9 == len(desk.comments())


def test_a_video_that_is_given_up_is_no_part_of_the_data(video):
    """Comments are complete or not there."""
    desk = video()
    desk.site.script(page(4), *[Reply(500)] * 9)
    desk.drain()

    assert {"v": "server_error"} == desk.reasons("comments")
    assert [] == desk.comments()
    assert {} == desk.run.ledger.collected()


@pytest.mark.parametrize(("limit", "pages"), [(1, 1), (2, 1), (3, 2), (8, 4), (9, 5), (100, 5)])
def test_the_newest_are_collected_up_to_the_limit(video, limit, pages):
    """No more comments than max_per_video, and no page beyond the one that reaches it."""
    desk = video(max_per_video=limit)
    desk.drain()

    assert {row["id"] for row in ROWS[:limit]} == {row["comment_id"] for row in desk.comments()}
    assert pages == len([path for path in desk.site.count() if path.startswith("/api/")])


def test_a_comment_that_moved_to_the_next_page_counts_once(video):
    """A comment written while the pages are read pushes one across the border."""
    desk = video()
    moved = [*ROWS[:2], ROWS[1], *ROWS[2:]]
    desk.site.comments["v"] = moved
    desk.drain()

    assert {"v": 9} == desk.run.ledger.collected()
    assert [row["id"] for row in ROWS] == sorted(row["comment_id"] for row in desk.comments())


def test_no_raw_user_id_is_written_anywhere(video):
    """Three users are three keys; their names stand in no file of the run."""
    desk = video()
    desk.drain()
    keys = {row["user_key"] for row in desk.comments()}

    assert {desk.run.pseudonyms.user_key("sandbox", f"raw-user-{number}") for number in range(3)} == keys
    assert [] == desk.files_that_hold("raw-user-")


@pytest.mark.parametrize(
    ("mode", "text"),
    [("scrubbed", "see [url] or [email], [mention]"), ("raw", "see http://x.test/a or a@b.org, @me"), ("none", None)],
)
def test_text_is_kept_as_the_recipe_says(video, mode, text):
    """Scrubbed by default, raw or absent where asked for."""
    desk = video(text=mode)
    desk.site.comments["v"] = [comment(1, "u", "see http://x.test/a or a@b.org, @me")]
    desk.drain()

    assert [text] == [row["text"] for row in desk.comments()]


@pytest.mark.parametrize(("is_wanted", "gender"), [(False, None), (True, "f")])
def test_gender_is_kept_only_where_it_is_asked_for(video, is_wanted, gender):
    """Off by default."""
    desk = video(gender=is_wanted)
    desk.site.comments["v"] = [comment(1, "u", gender="f")]
    desk.drain()

    assert [gender] == [row["gender"] for row in desk.comments()]


def test_two_nodes_that_finish_one_video_commit_it_once(video):
    """The second one's part is written again without it, and its file is gone."""
    desk = video()
    parts = [CommentParts(desk.run), CommentParts(desk.again())]
    for part, own in zip(parts, ("a", "b"), strict=True):
        for name in ("shared", own):
            spool = Spool.open(desk.folder / f"spool-{own}", name)
            spool.add(_comments(*[f"{name}-{number}" for number in range(3)]), [])
            part.add(spool)
    for part in parts:
        part.commit(part.take())

    assert {"shared": 3, "a": 3, "b": 3} == desk.run.ledger.collected()
    assert 9 == len(desk.comments())
    assert 9 == len({row["comment_id"] for row in desk.comments()})
    listed = {desk.run.folder / part.path for part in desk.run.ledger.parts("comments")}
    assert listed == set((desk.run.folder / "crawled/comments").iterdir())


def test_nothing_is_written_where_all_is_taken(video):
    """A node that comes second with its only video leaves no part."""
    desk = video()
    for _ in range(2):
        parts, spool = CommentParts(desk.run), Spool.open(desk.folder / "spool", "v")
        spool.add(_comments("c1"), [])
        parts.add(spool)
        parts.commit(parts.take())

    assert 1 == len(desk.run.ledger.parts("comments"))
    assert 1 == len(list((desk.run.folder / "crawled/comments").iterdir()))


def test_a_video_id_is_no_file_name(desk):
    """An id with slashes and dots stays inside the spool's folder."""
    spool = Spool.open(desk.folder / "spool", "../../../etc/passwd")
    spool.add(_comments("c1"), ["http://one.test/2"])
    spool.close()
    again = Spool.open(desk.folder / "spool", "../../../etc/passwd")

    assert desk.folder / "spool" == spool.path.parent
    assert (["http://one.test/2"], spool.comments) == (again.pending, again.comments)


def test_a_part_says_what_it_holds(video):
    """Rows and hash in the ledger are those of the file."""
    desk = video()
    desk.drain()
    (part,) = desk.run.ledger.parts("comments")

    assert pq.read_metadata(desk.run.folder / part.path).num_rows == part.rows == 9
    assert part == replace(part, kind="comments")


@pytest.mark.parametrize("at_ms", [2**63, -(2**63) - 1, 1e30])
def test_a_time_beyond_all_bounds_costs_its_video_alone(desk, at_ms):
    """A comment whose time no column holds is a changed page; other videos of the same part are committed."""
    desk.make(comments={"when": "always"})
    for name, rows in {"v": [comment(1, "u", at_ms=at_ms)], "w": [comment(2, "u")]}.items():
        desk.add_page(name, media={})
        desk.site.comments[name] = rows
    desk.drain(5)

    assert {"w": 1} == desk.run.ledger.collected()
    assert {"v": "page_changed"} == desk.reasons("comments")


def test_comments_that_cannot_be_read_are_kept_as_a_sample_without_their_users(desk):
    """The failure's detail says where the sample lies; it has the answer's shape and nobody's id or words."""
    desk.make(comments={"when": "always"})
    desk.add_page("v", media={})
    desk.site.comments["v"] = [comment(1, "user-of-secret-name", "private words", at_ms=1e30)]
    desk.drain(5)

    [path] = (desk.run.folder / "samples").iterdir()
    text = path.read_text()
    assert (True, ".json") == (path.name.startswith("comments-"), path.suffix)
    assert '"created_at_ms"' in text
    assert "secret" not in text
    assert "private" not in text


def _comments(*keys):
    count = len(keys)
    return Comments(
        [int.from_bytes(key.encode().ljust(8), signed=True) for key in keys],
        [bytes(16)] * count,
        [None] * count,
        [None] * count,
        [1] * count,
    )


def test_a_comments_own_id_does_not_reach_the_disk(video):
    """Some sites spell the author's name in a comment's address: a key takes its place."""
    desk = video()
    desk.site.comments["v"] = [{**comment(1, "u"), "id": "https://social.example/users/alice/statuses/1"}]
    desk.drain()

    assert {"v": 1} == desk.run.ledger.collected()
    assert [] == desk.files_that_hold("users/alice")


def test_a_cursor_that_goes_round_ends(video):
    """Pages that lead to one another for ever are asked for once each."""
    desk = video()
    back = json.dumps({"comments": [], "next": "2"}).encode()
    desk.site.script(page(2), *[Reply(body=back)] * 9)
    desk.drain()

    assert 1 == desk.site.count()[page(2)]
    assert {"v": 2} == desk.run.ledger.collected()


def test_comments_that_were_committed_are_not_asked_for_again(video):
    """A process that dies between the ledger and the frontier leaves an item that is done with, and a spool."""
    desk = video()
    desk.drain()
    before, (item,) = desk.site.count(), [comments_item(page, PLATFORM) for page in desk.run.ledger.pages()]
    desk.frontier.forget([item])
    desk.frontier.push([item])
    spool_path(desk.run.spool, "v", 0).write_bytes(b"")
    desk.drain()

    assert before == desk.site.count()
    assert 0 == desk.frontier.open_count(["comments"])
    assert {"v": 9} == desk.run.ledger.collected()
    assert [] == list(desk.run.spool.iterdir())

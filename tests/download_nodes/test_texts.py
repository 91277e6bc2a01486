"""Texts in parts of their own: written where something is kept, and committed with their comments or not at all."""

import random
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from download_nodes.comment_parts import CommentParts
from download_nodes.spool import Comments, Spool
from tests.crawler.site import comment

ROWS = [comment(number, f"raw-user-{number % 3}", f"text {number}") for number in range(9)]
KEPT = {"scrubbed": "see [url]", "raw": "see http://x.test/a", "none": None}


@pytest.fixture
def video(desk):
    """A run whose one video is wanted for its comments alone, five pages of them."""

    def make(**comments):
        desk.make(comments={"when": "always", **comments})
        desk.add_page("v", media={})
        desk.site.comments["v"] = list(ROWS)
        return desk

    return make


@pytest.mark.parametrize("text", ["scrubbed", "raw", "none"])
@pytest.mark.parametrize("gender", [True, False])
def test_a_part_of_texts_holds_what_the_recipe_keeps(video, text, gender):
    """Words and genders, with the comment that they are of; where there are none, no such part."""
    desk = video(text=text, gender=gender)
    desk.site.comments["v"] = [
        comment(1, "ann", "see http://x.test/a", gender="f"),
        comment(2, "bob", "see http://x.test/a", gender=None),
    ]
    desk.drain()
    comments = {row["comment_id"]: row for row in desk.rows("comments")}
    ann, bob = desk.run.pseudonyms.comment_keys("sandbox", ["c1", "c2"])
    wanted = {
        ann: (KEPT[text], "f" if gender else None, comments[ann]["user_key"] if gender else None),
        bob: (KEPT[text], None, None),
    }
    found = {row["comment_id"]: (row["text"], row["gender"], row["user_key"]) for row in desk.rows("texts")}

    assert {ann, bob} == set(comments)
    assert {key: told for key, told in wanted.items() if told[:2] != (None, None)} == found
    assert {"video_id", "comment_id", "user_key", "commented_at_ms"} == set(comments[ann])
    assert bool(found) == (desk.run.folder / "crawled/texts").exists() == (len(desk.run.ledger.parts("texts")) == 1)


def test_a_part_of_texts_says_what_it_lies_beside(video):
    """Rows and hash in the ledger are those of the file, and it names the part of its comments."""
    desk = video()
    desk.drain()
    (part,), (beside,) = desk.run.ledger.parts("texts"), desk.run.ledger.parts("comments")

    assert (9, beside.part_id, None) == (part.rows, part.beside, beside.beside)
    assert pq.read_metadata(desk.run.folder / part.path).num_rows == part.rows
    assert part.path.startswith("crawled/texts/")


@pytest.mark.parametrize(
    ("event", "word", "is_committed"),
    [("os.rename", "crawled/comments", False), ("os.rename", "crawled/texts", False), ("os.remove", "spool", True)],
)
def test_a_node_that_is_killed_between_the_parts_loses_and_doubles_nothing(video, event, word, is_committed):
    """SIGKILL before the first part stands, between the two, and once both are committed: each comment counts once."""
    desk = video()
    desk.push()
    killed = subprocess.run(
        [sys.executable, "-m", "tests.download_nodes.drain_alone", desk.run.folder, desk.redis_url, event, word],
        capture_output=True,
        check=False,
    )
    before = desk.run.ledger.collected()
    desk.lose_redis()
    desk.drain()

    assert -signal.SIGKILL == killed.returncode, killed.stderr
    assert ({"v": 9} if is_committed else {}) == before
    assert {"v": 9} == desk.run.ledger.collected()
    assert {row["id"]: row["text"] for row in ROWS} == {row["comment_id"]: row["text"] for row in desk.comments()}
    assert [9, 9] == [len(desk.rows(kind)) for kind in ("comments", "texts")]


def test_comments_whose_texts_cannot_be_written_are_not_kept_either(video):
    """What the disk refuses leaves no part behind, and all of it is written the next time."""
    desk = video()
    parts, spool = CommentParts(desk.run), Spool.open(desk.folder / "spool", "v")
    spool.add(Comments([1], [bytes(16)], ["a text"], [None], [1]), [])
    parts.add(spool)
    taken, texts = parts.take(), desk.run.folder / "crawled/texts"
    texts.parent.mkdir(exist_ok=True)
    texts.write_bytes(b"")
    with pytest.raises(OSError, match="exists"):
        parts.commit(taken)
    left = list((desk.run.folder / "crawled/comments").iterdir())
    texts.unlink()
    parts.commit(taken)

    assert [] == left
    assert ["a text"] == [row["text"] for row in desk.said()]


def test_texts_of_a_video_that_is_taken_are_left_out(video):
    """Where another node was quicker with one of two videos, both parts are written again without it."""
    desk = video()
    for run, names in ((desk.run, ["shared"]), (desk.again(), ["shared", "own"])):
        parts = CommentParts(run)
        for name in names:
            spool = Spool.open(desk.folder / f"spool-{len(names)}", name)
            spool.add(Comments([len(name)], [bytes(16)], [f"on {name}"], [None], [1]), [])
            parts.add(spool)
        parts.commit(parts.take())

    assert ["on own", "on shared"] == sorted(row["text"] for row in desk.rows("texts"))
    for kind in ("comments", "texts"):
        listed = {desk.run.folder / part.path for part in desk.run.ledger.parts(kind)}
        assert listed == set((desk.run.folder / "crawled" / kind).iterdir())


words = st.none() | st.text(max_size=8)


@given(
    st.lists(st.tuples(st.integers(-(1 << 63), (1 << 63) - 1), words, words), max_size=6, unique_by=lambda row: row[0])
)
@settings(deadline=None)
def test_a_spool_s_line_says_what_was_written(rows):
    """Keys, users, words and times are read back as they were, and so is what is left to be asked for."""
    dice = random.Random(len(rows))
    keys, texts, genders = ([row[place] for row in rows] for place in range(3))
    users, moments = ([draw() for _ in rows] for draw in (lambda: dice.randbytes(16), lambda: dice.getrandbits(40)))
    # A column of nothing is told in one word, and an empty text is nothing.
    texts, genders = (column if any(column) else [None] * len(rows) for column in (texts, genders))
    comments = Comments(keys, users, texts, genders, moments)

    assert (["http://x.test/2"], comments, 7) == Comments.from_json(comments.to_json(["http://x.test/2"], 7))

"""Refreshes in the ledger: who is due, what holds now, and that nothing that was seen is overwritten."""

import random
import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from microlens import ledger as ledger_module
from microlens import refreshes as refreshes_module
from microlens.comment_lists import CommentList, that_stand
from microlens.errors import CorruptDataError
from microlens.ledger import Ledger
from microlens.ledger_rows import PageRow, Part
from microlens.records import refreshed
from microlens.refreshes import Refreshes

OUTCOMES = [None, None, None, "timeout", "gone", "private", "page_changed"]
PASSING = {"timeout", "page_changed"}


def row(video_id, failure=None, **facts):
    return PageRow(video_id, f"http://site.test/{video_id}", failure=failure, **facts)


@pytest.fixture
def refreshes(ledger):
    return Refreshes(ledger)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, in milliseconds."""

    class Clock:
        at_ms = 1_000

    for module in (ledger_module, refreshes_module):
        monkeypatch.setattr(module, "now_ms", lambda: Clock.at_ms)
    return Clock


@pytest.mark.parametrize("seed", range(15))
def test_due_is_what_was_last_heard_of_before(place, clock, seed):
    """Whatever happened to videos so far: due are those once read, or failed in passing, with no later word of them."""
    dice, ledger = random.Random(seed), Ledger(place, node_id="x")
    refreshes, history = Refreshes(ledger), {}
    for number in range(20):
        clock.at_ms = dice.randrange(1, 1_000)
        history[f"v{number}"] = [(clock.at_ms, dice.choice(OUTCOMES))]
        ledger.commit_crawl(pages=[row(f"v{number}", history[f"v{number}"][0][1])])
    for number in (1, 2, 3):
        since = clock.at_ms = 1_000 * number + 500
        wanted = {
            video_id
            for video_id, visits in history.items()
            if visits[0][1] in {None, *PASSING}
            and not any(at >= since for at, outcome in visits if outcome not in PASSING)
        }
        refresh = refreshes.begin(since)
        found, expected = {video_id for video_id, _ in refreshes.due(refresh)}, set(wanted)
        for video_id in dice.sample(sorted(wanted), len(wanted) // 2):
            clock.at_ms += 10
            outcome = dice.choice(OUTCOMES)
            history[video_id].append((clock.at_ms, outcome))
            refreshes.commit(number, [row(video_id, outcome)], None)
            wanted.discard(video_id)

        assert expected == found
        assert wanted == {video_id for video_id, _ in refreshes.due(refresh)}
        assert len(wanted) == refreshes.count_due(since, number=number)
        refreshes.finish(number)

    standing = {one.page.video_id: (one.page.failure, one.refresh) for one in refreshes.standings()}
    for video_id, visits in history.items():
        telling = [outcome for at, (_, outcome) in enumerate(visits) if at == 0 or outcome not in PASSING]
        assert telling[-1] == standing[video_id][0]
    ledger.close()


def test_an_open_refresh_goes_on_with_its_own_moment(ledger, refreshes, clock):
    """An age that is given again is another moment: the refresh that is open keeps its own."""
    ledger.commit_crawl(pages=[row("a"), row("b")])
    clock.at_ms = 5_000
    first = refreshes.begin(4_000)
    clock.at_ms = 6_000

    assert first == refreshes.begin(5_500) == refreshes.open_one()
    assert (1, 4_000, 5_000, True) == (first.number, first.since_ms, first.started_at_ms, first.is_open)


def test_a_finished_refresh_is_followed_by_the_next(ledger, refreshes, clock):
    """What was read after the moment is not due; a later moment makes a new number."""
    ledger.commit_crawl(pages=[row("a")])
    clock.at_ms = 5_000
    refreshes.begin(4_000)
    refreshes.commit(1, [row("a")], None)
    refreshes.finish(1)
    clock.at_ms = 6_000

    assert refreshes.begin(4_000) is None
    assert refreshes.open_one() is None
    assert 5_000 == refreshes.newest().finished_at_ms
    assert 2 == refreshes.begin(5_500).number


def test_no_visit_is_overwritten(ledger, refreshes, clock):
    """The first crawl's row stays, and of two nodes that read one page in a refresh the first one's."""
    ledger.commit_crawl(pages=[row("a", title="old", like_count=1)])
    clock.at_ms = 5_000
    refreshes.begin(4_000)
    part = Part("p", "videos", "crawled/videos/p.parquet", 1, "00")
    refreshes.commit(1, [row("a", title="new", like_count=2)], part)
    refreshes.commit(1, [row("a", title="other", like_count=3)], None)
    (standing,) = refreshes.standings()

    assert ["old"] == [page.title for page in ledger.pages()]
    assert ("new", 2, 1) == (standing.page.title, standing.page.like_count, standing.refresh)
    assert [part] == ledger.parts("videos")


def test_visits_are_read_on_from_a_mark(ledger, refreshes, clock):
    """A collection node learns what others have committed since it last asked, in this refresh alone."""
    ledger.commit_crawl(pages=[row(name) for name in "abc"])
    clock.at_ms = 5_000
    refreshes.begin(4_000)
    refreshes.commit(1, [row("a"), row("b", "timeout")], None)
    first, mark = refreshes.visits_since(1, 0)
    refreshes.commit(1, [row("c")], None)
    second, end = refreshes.visits_since(1, mark)

    assert (["a", "b"], ["c"]) == ([v.video_id for v in first], [v.video_id for v in second])
    assert ([], end) == refreshes.visits_since(1, end)
    assert ([], 0) == refreshes.visits_since(2, 0)


def test_what_is_taken_back_is_due_again(ledger, refreshes, clock):
    """A visit that failed for a named reason is made again; others stay."""
    ledger.commit_crawl(pages=[row(name) for name in "abc"])
    clock.at_ms = 5_000
    refresh = refreshes.begin(4_000)
    refreshes.commit(1, [row("a", "timeout"), row("b", "gone"), row("c")], None)
    taken = refreshes.take_back(1, ["timeout", "page_changed"])

    assert ["a"] == [page.video_id for page in taken]
    assert [("a", "http://site.test/a")] == refreshes.due(refresh)


def test_standings_of_many_names(ledger, refreshes, clock):
    """More names than one statement takes are all found, with their newest visits."""
    names = [f"v{number:04}" for number in range(1_200)]
    ledger.commit_crawl(pages=[row(name) for name in names])
    clock.at_ms = 5_000
    refreshes.begin(4_000)
    refreshes.commit(1, [row(name) for name in names[::2]], None)
    found = refreshes.standings([*names, "nobody"])

    assert names == [one.page.video_id for one in found]
    assert [1, 0] * 600 == [one.refresh for one in found]


# --- names ---

ids = st.text("a@01 ", max_size=5) | st.text()


@given(st.lists(st.tuples(ids, st.integers(0, 30)), unique=True))
@example([("a@1", 0), ("a", 1)])
@example([("a@1", 1), ("a@1@1", 0)])
def test_no_two_items_share_a_name(pairs):
    """Whatever ids a site chooses, a video in a refresh has a name of its own."""
    assert len(pairs) == len({refreshed(*pair) for pair in pairs})


# --- lists of comments ---

readings = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 9), st.booleans()),
    unique_by=lambda reading: reading[:2],
)


@given(readings)
def test_the_newest_whole_list_and_what_came_since_stand(found):
    """As one would say it of a single video, and as the ledger's own counts have it."""
    lists = [CommentList(video, number, count, is_full, None, None) for video, number, count, is_full in found]
    wanted = []
    for video in "ab":
        own = sorted((one for one in lists if one.video_id == video), key=lambda one: one.refresh)
        whole = [one.refresh for one in own if one.is_full]
        wanted += [one for one in own if not whole or one.refresh >= whole[-1]]

    assert wanted == that_stand(lists)


@given(readings)
def test_progress_counts_what_stands(shared_ledger, fresh_id, found):
    """`collected` and `progress` agree on how many comments there are."""
    prefix = fresh_id()
    before = shared_ledger.progress()
    firsts = {}
    for video, number, count, is_full in sorted(found):
        # The first reading of a video is always a whole list.
        is_addition = not is_full and video in firsts
        firsts.setdefault(video, number)
        video_id = f"{prefix}{video}"
        additions = {video_id} if is_addition else set()
        shared_ledger.commit_comments(None, {video_id: count}, refresh=number, additions=additions)
    after = shared_ledger.progress()
    collected = shared_ledger.collected([f"{prefix}{video}" for video in "ab"])

    assert sum(collected.values()) == after["comments"] - before["comments"]
    assert len(collected) == after["collected"] - before["collected"]


def test_a_reading_is_taken_once_in_each_refresh(ledger):
    """Another node's reading of the same refresh is refused; one of another refresh is not."""
    ledger.commit_comments(Part("p", "comments", "crawled/comments/p.parquet", 3, "00"), {"a": 3}, declared={"a": 3})

    assert {"a"} == ledger.commit_comments(None, {"a": 1, "b": 1})
    assert set() == ledger.commit_comments(None, {"a": 0}, refresh=1, declared={"a": 3}, additions={"a"})
    assert [
        CommentList("a", 0, 3, True, 3, "crawled/comments/p.parquet"),
        CommentList("a", 1, 0, False, 3, None),
    ] == ledger.comment_lists()
    assert {"a": 3} == ledger.collected()


# --- ledgers of other versions ---


def test_an_old_ledger_is_refused(tmp_path):
    """A ledger that was made before its tables were numbered, or with another number, is named and left as it is."""
    path = tmp_path / "ledger.sqlite"
    for version in (0, 1, 99):
        with sqlite3.connect(path) as old:
            old.execute("CREATE TABLE IF NOT EXISTS page (video_id TEXT)")
            old.execute(f"PRAGMA user_version = {version}")
        old.close()
        before = path.read_bytes()

        with pytest.raises(CorruptDataError, match=f"version {version or 1}; only version"):
            Ledger(path, node_id="x")
        assert before[100:] == path.read_bytes()[100:]

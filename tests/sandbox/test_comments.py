"""Comments page by page."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def read_all(fetch, site, video_id, limit):
    """Follow the cursors to the end; give the pages."""
    pages, cursor = [], ""
    while cursor is not None:
        address = f"{site.url}/api/videos/{video_id}/comments?limit={limit}" + (cursor and f"&cursor={cursor}")
        pages.append(json.loads(fetch(address).body))
        cursor = pages[-1]["next"]
    return pages


@pytest.fixture(scope="module")
def busy_id(site):
    """The kept video with most comments."""
    world = site.world
    live = [v for v, kind in enumerate(world.videos.flaws.kind) if not kind]
    return world.videos.ids[max(live, key=lambda video: len(world.comments.of_video(video)))]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 100))
def test_pages_hold_every_comment_once(site, fetch, busy_id, limit):
    """Whatever the page size, following the cursors gives every comment once, newest first."""
    pages = read_all(fetch, site, busy_id, limit)
    comments = [comment for page in pages for comment in page["comments"]]
    times = [comment["created_at_ms"] for comment in comments]

    assert {len(comments)} == {page["total"] for page in pages}
    assert len({comment["id"] for comment in comments}) == len(comments)
    assert times == sorted(times, reverse=True)
    assert all(len(page["comments"]) == limit for page in pages[:-1])


def test_comments_are_the_worlds(site, fetch, busy_id):
    """Users, times and texts are those of the world, gender only where it is public."""
    world = site.world
    numbers = world.comments.of_video(world.index[busy_id])[::-1]
    shown = [comment for page in read_all(fetch, site, busy_id, 100) for comment in page["comments"]]

    assert len(shown) == len(numbers)
    for comment, number in zip(shown, numbers.tolist(), strict=True):
        user = int(world.comments.user[number])

        assert comment["user"]["id"] == world.user_ids[user]
        assert comment["user"].get("gender") == world.genders[user]
        assert comment["created_at_ms"] == world.comments.created_ms[number]
        assert comment["text"] == world.comment_text(number)
        assert comment["reply_count"] == 0


def test_ids_grow_with_time(site, fetch, busy_id):
    """Sorted by id, comments are sorted by time."""
    shown = [comment for page in read_all(fetch, site, busy_id, 100) for comment in page["comments"]]
    by_id = sorted(shown, key=lambda comment: comment["id"])

    assert by_id == sorted(shown, key=lambda comment: comment["created_at_ms"])


def test_page_sizes_are_bounded(site, fetch, busy_id):
    """A page has 20 comments unless asked otherwise, and never more than 100."""
    address = f"{site.url}/api/videos/{busy_id}/comments"
    plain, greedy = (json.loads(fetch(address + query).body) for query in ("", "?limit=100000"))

    assert len(plain["comments"]) == min(20, plain["total"])
    assert len(greedy["comments"]) == min(100, greedy["total"])


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=-1", "cursor=", "limit=1.5", "cursor=%C2%B2", "cursor=" + "9" * 40]
)
def test_bad_cursors_are_refused(site, fetch, busy_id, query):
    """A cursor or a limit that is no whole number answers 400 and says so."""
    answer = fetch(f"{site.url}/api/videos/{busy_id}/comments?{query}")

    assert answer.status == 400
    assert "must be a whole number" in json.loads(answer.body)["error"]

"""Comments on duplicates: left out, or counted as comments on the copy that is kept."""

import pytest

from microlens.errors import NotReadyError
from tests.integration.made import comment_key, earliest, release_table, world

MERGE = {"twins": "merge"}
COPIES = {"v1": "v0", "v4": "v0", "v3": "v2"}
"""By copy: the video that stays."""


def with_copies(seed):
    """A world in which some videos have equal bytes; those that stay are liked most."""
    data = world(seed)
    for video_id, told in data.videos.items():
        told["measured"] = {"video": {"body": f"bytes of {COPIES.get(video_id, video_id)}".encode()}}
        told["like_count"] += 100_000 * (video_id not in COPIES)
    return data


def told_of(comments):
    """The same comments, each on the video that it counts for."""
    return [{**row, "video_id": COPIES.get(row["video_id"], row["video_id"])} for row in comments]


def pairs_of(made, data):
    raw = made.users(data)
    rows = made.table("interactions")
    assert len(rows) == len({(row["user_key"], row["video_id"]) for row in rows})
    return {(raw[row["user_key"]], row["video_id"]): row["comment_id"] for row in rows}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [4, 5000])
def test_merged_twins_give_each_user_the_earliest_comment_on_any_copy(make, seed, limit):
    """Of all comments on the copies of an item the newest `limit`, of these each user's first; counts follow."""
    data = with_copies(seed)
    made = make(filters=MERGE, comments={"max_per_video": limit}).fill(data, parts=3)
    manifest, _ = made.integrate()
    wanted = earliest(told_of(data.comments), limit)
    on_copies = sum(
        row["comment_id"] in {c["comment_id"] for c in data.comments if c["video_id"] in COPIES}
        for row in wanted.values()
    )

    assert {pair: row["comment_id"] for pair, row in wanted.items()} == pairs_of(made, data)
    assert 0 < on_copies
    assert {"videos": len(COPIES), "interactions": on_copies} == manifest.counters["merged"]
    assert len(wanted) == manifest.counters["interactions"]
    assert len({user for user, _ in wanted}) == manifest.counters["users"]


def test_dropped_twins_give_nothing(make):
    """The default: what was said on a duplicate is left out, and the card says so."""
    data = with_copies(1)
    made = make().fill(data)
    built = made.build()
    wanted = earliest([row for row in data.comments if row["video_id"] not in COPIES], 5000)

    assert {pair: row["comment_id"] for pair, row in wanted.items()} == pairs_of(made, data)
    assert made.integrate()[0].counters["merged"] is None
    assert "Comments on duplicates are left out." in (built.path / "README.md").read_text()


def test_a_release_has_the_texts_of_merged_comments(make):
    """Each pair has the text of the comment that it is, on whichever copy it was made; the card tells how many."""
    data = with_copies(2)
    made = make(filters=MERGE).fill(data)
    built = made.build()
    users = {number: key for key, number in made.ids("out", "user").items()}
    items = {number: video for video, number in made.ids("out", "item").items()}
    raw = made.users(data)
    texts = {
        (raw[users[row["user_id"]]], items[row["item_id"]]): row["text"] for row in release_table(built, "comments")
    }
    wanted = earliest(told_of(data.comments), 5000)
    merged = made.integrate()[0].counters["merged"]["interactions"]

    assert {pair: row["text"] for pair, row in wanted.items() if row["text"] is not None} == texts
    assert (
        f"{merged:,} of the interactions of all kept videos were made on 3 such"
        in (built.path / "README.md").read_text()
    )


def test_comments_of_one_number_on_two_copies_keep_their_authors(make):
    """Where a site numbers each video's comments for itself, no text goes to another user."""
    data = with_copies(3)
    data.comments = [
        {"video_id": video, "comment_id": comment_key("1"), "user": user, "text": f"by {user}", "commented_at_ms": 5}
        for video, user in (("v0", "ann"), ("v1", "bob"))
    ]
    made = make(filters=MERGE).fill(data)
    built = made.build()

    assert {("ann", "v0"), ("bob", "v0")} == set(pairs_of(made, data))
    assert ["by ann", "by bob"] == sorted(row["text"] for row in release_table(built, "comments"))


def test_counts_and_snapshots_stay_those_of_the_items_own_page(make):
    """Merging moves comments alone: no like is added up, and no visit of a twin's page is told as the item's."""
    data = with_copies(4)
    made = {twins: make(twins, filters={"twins": twins}).fill(data) for twins in ("merge", "drop")}
    for each in made.values():
        each.integrate()

    for name in ("items", "snapshots"):
        assert made["merge"].table(name) == made["drop"].table(name)
    assert data.videos["v0"]["like_count"] == made["merge"].table("items")[0]["like_count"]


def test_comments_of_a_twin_that_are_not_collected_yet_are_waited_for(make):
    """Merging needs them as it needs those of the copy that is kept; dropping does not."""
    data = with_copies(5)
    made = make(filters=MERGE)
    made.add_videos(data.videos)
    made.add_comments([name for name in data.videos if name != "v1"], [])

    with pytest.raises(NotReadyError, match="comments of 1 videos"):
        made.integrate()
    assert made.open().integrate()[1]


def test_what_becomes_of_twins_can_be_changed_afterwards(make):
    """Another word in the recipe decides anew, with no file of the store read."""
    data = with_copies(6)
    made = make().fill(data)
    counts = []
    for twins in ("drop", "merge", "drop"):
        made.open(filters={"twins": twins})
        counts.append(made.integrate()[0].counters["interactions"])

    assert counts[0] == counts[2] < counts[1]


def test_a_silent_video_is_kept_and_says_why(make):
    """No sound offered, none in the video, none that decodes: a word in the item, counts in the card."""
    made = make()
    silent = {"title": "A title", "like_count": 5, "stage": "seed"}
    made.add_videos({"none": silent, "mute": silent, "loud": {**silent, "audio": True}})
    made.add_videos({"torn": {**silent, "audio": True, "measured": {"audio": {"is_decodable": False}}}})
    made.fail("mute/audio", "no_audio")
    names = ["none", "mute", "loud", "torn"]
    made.add_comments(names, [
        {"video_id": name, "comment_id": comment_key(name), "user": "ann", "commented_at_ms": 5} for name in names
    ])  # fmt: skip
    built = made.build()
    wanted = {"none": "missing", "mute": "no_audio", "loud": None, "torn": "not_decodable"}
    counts = {"missing": 1, "no_audio": 1, "not_decodable": 1}

    assert wanted == {row["video_id"]: row["audio_problem"] for row in made.table("items")}
    assert set(wanted.values()) == {row["audio_problem"] for row in release_table(built, "items")}
    assert counts == made.integrate()[0].counters["audio_problems"] == built.counts["audio_problems"]
    assert (
        "3 without sound to be used (`missing` 1, `no_audio` 1, `not_decodable` 1)"
        in (built.path / "README.md").read_text()
    )

"""Each named SELECT against plain Python on small random tables."""

from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.engines.duckdb import DuckEngine, _bound
from integration.sampling_order import start_of
from integration.steps import step_sql
from microlens.settings import Settings
from microlens.tables import CRAWLED_TEXTS, CRAWLED_VIDEOS, MEASUREMENTS
from tests.integration.made import DAY_MS, comment_key, video_row

VIDEOS = ["v1", "v2", "v3"]
USERS = [bytes([number]) * 16 for number in range(5)]
INTERACTIONS = pa.schema(
    [
        ("user_key", pa.binary(16)),
        ("video_id", pa.string()),
        ("commented_at_ms", pa.int64()),
        ("comment_id", pa.int64()),
    ]
)
COUNTED = pa.schema([("user_key", pa.binary(16)), ("interaction_count", pa.int64()), ("sampling_hash", pa.string())])
FLOORS = pa.schema([INTERACTIONS.field(name) for name in ("video_id", "commented_at_ms", "comment_id", "user_key")])
TWINS = pa.schema([("video_id", pa.string()), ("counts_for", pa.string())])
ITEM_PAIRS = pa.schema([*INTERACTIONS, ("page_id", pa.string())])
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

times = st.sampled_from([0, 1, 2, DAY_MS - 1, DAY_MS, 5 * DAY_MS])
comments = st.lists(
    st.builds(
        lambda video, user, number, at, text, gender: {
            "video_id": video,
            "comment_id": comment_key(f"c{number}"),
            "user_key": user,
            "text": text,
            "gender": gender,
            "commented_at_ms": at,
        },
        st.sampled_from([*VIDEOS, "dropped"]),
        st.sampled_from(USERS),
        st.integers(0, 30),
        times,
        st.none() | st.sampled_from(["x", "y"]),
        st.none() | st.sampled_from(["f", "m"]),
    ),
    max_size=30,
    unique_by=lambda row: (row["video_id"], row["comment_id"]),
)
interactions = st.lists(
    st.builds(
        lambda video, user, number, at: {
            "user_key": user,
            "video_id": video,
            "commented_at_ms": at,
            "comment_id": comment_key(f"c{number}"),
        },
        st.sampled_from(VIDEOS),
        st.sampled_from(USERS),
        st.integers(0, 9),
        times,
    ),
    max_size=15,
    unique_by=lambda row: (row["user_key"], row["video_id"]),
)


@pytest.fixture
def run(tmp_path):
    """Run a step over tables given as rows; gives its rows in their order."""
    with DuckEngine(Settings(threads=2, memory_limit="500MB"), tmp_path / "tmp") as engine:

        def step(name, tables, **parameters):
            for table, (rows, schema) in tables.items():
                engine.add_table(table, pa.Table.from_pylist(list(rows), schema=schema))
            count = engine.run(name, tmp_path / f"{name}.parquet", parameters)
            found = pq.read_table(tmp_path / f"{name}.parquet").to_pylist()
            assert count == len(found)
            return found

        yield step


def kept(*videos):
    return [{"video_id": video} for video in videos], pa.schema([("video_id", pa.string())])


@given(
    rows=st.lists(
        st.builds(
            lambda video, at, url, title: video_row(video, crawled_at_ms=at, page_url=url, title=title),
            st.sampled_from(VIDEOS),
            st.integers(0, 2),
            st.sampled_from(["a", "b"]),
            st.sampled_from(["x", "y"]),
        ),
        max_size=12,
    ),
    shuffle=st.randoms(use_true_random=False),
)
@quick
def test_the_latest_snapshot_of_a_video_stays(run, rows, shuffle):
    """One row a video: the newest visit, ties broken by address and title, whatever the order of rows."""
    best = {}
    for row in sorted(rows, key=lambda row: (-row["crawled_at_ms"], row["page_url"], row["title"])):
        best.setdefault(row["video_id"], row)
    shuffle.shuffle(rows)

    found = run("videos", {"crawled_videos": (rows, CRAWLED_VIDEOS)})

    assert [best[video]["title"] for video in sorted(best)] == [row["title"] for row in found]
    assert sorted(best) == [row["video_id"] for row in found]


def age(row):
    return row["commented_at_ms"], row["comment_id"]


def firsts(rows):
    """By hand: each user's earliest comment on each video."""
    first = {}
    for row in sorted(rows, key=age):
        first.setdefault((row["user_key"], row["video_id"]), row)
    return first


TAKEN = pa.schema([*INTERACTIONS, ("increment", pa.int32())])
REPLACED = pa.schema([("video_id", pa.string()), ("increment", pa.int32())])


@given(
    rows=comments,
    replaced=st.lists(st.tuples(st.sampled_from(VIDEOS), st.integers(1, 3)), max_size=4),
    dice=st.randoms(use_true_random=False),
)
@quick
def test_the_earliest_comment_that_stands_is_the_pair(run, rows, replaced, dice):
    """One row a user and video, sorted; what was taken in before its video was replaced does not count."""
    taken = [{name: row[name] for name in INTERACTIONS.names} | {"increment": dice.randrange(4)} for row in rows]
    since = {video: max(number for name, number in replaced if name == video) for video, _ in replaced}
    wanted = firsts(row for row in taken if row["increment"] >= since.get(row["video_id"], 0))

    found = run(
        "merged_pairs",
        {
            "taken": (taken, TAKEN),
            "replaced": ([{"video_id": video, "increment": number} for video, number in replaced], REPLACED),
        },
    )

    assert {pair: age(row) for pair, row in wanted.items()} == {
        (row["user_key"], row["video_id"]): age(row) for row in found
    }
    assert len(wanted) == len(found)
    order = [(row["user_key"], *age(row), row["video_id"]) for row in found]
    assert sorted(order) == order


@given(pairs=interactions, copies=st.sets(st.sampled_from(VIDEOS[1:])))
@quick
def test_pairs_on_copies_count_for_the_item_that_stays(run, pairs, copies):
    """Of a user's pairs on the pages of one item the earliest counts, and says on which page it was made."""
    items = sorted({*VIDEOS} - copies)
    twins = [{"video_id": video, "counts_for": "v1"} for video in sorted({"v1", *copies})] if copies else []
    counts_for = {**dict.fromkeys(items), **{row["video_id"]: row["counts_for"] for row in twins}}
    wanted = {}
    for row in sorted(pairs, key=lambda row: (*age(row), row["video_id"])):
        item = counts_for[row["video_id"]] or row["video_id"]
        wanted.setdefault((row["user_key"], item), (*age(row), row["video_id"]))

    found = run("item_pairs", {"merged_pairs": (pairs, INTERACTIONS), "items": kept(*items), "twins": (twins, TWINS)})

    assert wanted == {(row["user_key"], row["video_id"]): (*age(row), row["page_id"]) for row in found}
    assert len(wanted) == len(found)


def order_of(row):
    return *age(row), row["user_key"]


@given(pairs=interactions, crowded=st.sets(st.sampled_from(VIDEOS)), limit=st.integers(1, 4))
@quick
def test_floors_leave_out_all_but_the_newest(run, pairs, crowded, limit):
    """Of a crowded item the newest `limit` pairs are interactions, of another kept one all, of a dropped one none."""
    items = VIDEOS[:2]
    wanted = []
    for video in items:
        own = sorted((row for row in pairs if row["video_id"] == video), key=order_of)
        wanted += own[-limit:] if video in crowded else own
    tables = {"merged_pairs": (pairs, INTERACTIONS), "items": kept(*items), "twins": ([], TWINS)}

    told = run("item_pairs", tables)
    both = {"item_pairs": (told, ITEM_PAIRS), "crowded": kept(*sorted(crowded))}
    floors = run("floors", both, max_per_video=limit)
    found = run("interactions", {**both, "floors": (floors, FLOORS)})

    key = "video_id", "commented_at_ms", "comment_id", "user_key"
    assert sorted(tuple(row[name] for name in key) for row in wanted) == sorted(
        tuple(row[name] for name in key) for row in found
    )
    assert sorted(row["video_id"] for row in floors) == [row["video_id"] for row in floors]


@given(rows=interactions, seed=st.integers(0, 9))
@quick
def test_users_have_their_count_and_their_place(run, rows, seed):
    """The place in the sampling order is that of the key on a circle that begins where the seed says."""
    counts = Counter(row["user_key"] for row in rows)
    start = start_of(seed)

    found = run("users", {"interactions": (rows, INTERACTIONS)}, start=start)

    assert sorted(counts) == [row["user_key"] for row in found]
    for row in found:
        assert counts[row["user_key"]] == row["interaction_count"]
        assert f"{int(row['user_key'].hex() < start)}{row['user_key'].hex()}" == row["sampling_hash"]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(USERS), st.integers(1, 6), st.sampled_from("abcd")), unique_by=lambda row: row[0]
    ),
    smaller=st.integers(0, 6),
    more=st.integers(0, 6),
    min_user=st.integers(1, 6),
    max_user=st.integers(1, 6),
    shuffle=st.randoms(use_true_random=False),
)
@quick
def test_a_smaller_sample_lies_within_a_larger_one(run, rows, smaller, more, *, min_user, max_user, shuffle):
    """The first of the eligible users by hash, then key; row order is of no account."""
    eligible = sorted((place, key) for key, count, place in rows if min_user <= count <= max_user)
    shuffle.shuffle(rows)
    table = [dict(zip(COUNTED.names, row, strict=True)) for row in rows], COUNTED
    limits = {"min_user": min_user, "max_user": max_user}

    few = run("sampled_users", {"pool_users": table}, users=smaller, **limits)
    many = run("sampled_users", {"pool_users": table}, users=smaller + more, **limits)

    assert [key for _, key in eligible[: smaller + more]] == [row["user_key"] for row in many]
    assert few == many[:smaller]


@given(rows=interactions, sampled=st.sets(st.sampled_from(USERS)))
@quick
def test_observed_are_those_of_whom_there_are_pairs(run, rows, sampled):
    """An item that no sampled user commented on is left out, and a user of whom nothing is left; each is named once."""
    pairs = {"pairs": ([row for row in rows if row["user_key"] in sampled], INTERACTIONS)}

    items, users = run("observed_items", pairs), run("observed_users", pairs)

    assert sorted({row["video_id"] for row in pairs["pairs"][0]}) == [row["video_id"] for row in items]
    assert sorted({row["user_key"] for row in pairs["pairs"][0]}) == [row["user_key"] for row in users]


USER_IDS = [{"user_key": USERS[0], "user_id": 2}, {"user_key": USERS[2], "user_id": 1}]
COUNTS_FOR = {"v2": "v1"}
ITEM_IDS = [{"video_id": "v1", "item_id": 2}, {"video_id": "v3", "item_id": 1}]
IDS = {
    "user_ids": (USER_IDS, pa.schema([("user_key", pa.binary(16)), ("user_id", pa.int32())])),
    "item_ids": (ITEM_IDS, pa.schema([("video_id", pa.string()), ("item_id", pa.int32())])),
}


def public(rows):
    """Rows with public ids, those without left out."""
    users = {row["user_key"]: row["user_id"] for row in USER_IDS}
    items = {row["video_id"]: row["item_id"] for row in ITEM_IDS}
    return [
        (users[row["user_key"]], items[row["video_id"]], row)
        for row in rows
        if row["user_key"] in users and row["video_id"] in items
    ]


@given(rows=interactions, timestamps=st.sampled_from(["exact", "day", "order"]))
@quick
def test_pairs_come_oldest_first(run, rows, timestamps):
    """Positions count from 1 within a user; time is exact, of the day, or absent."""
    show = {"exact": lambda at: at, "day": lambda at: at // DAY_MS * DAY_MS, "order": lambda _: None}[timestamps]
    wanted, places = [], Counter()
    for user, item, row in sorted(
        public(rows), key=lambda each: (each[0], each[2]["commented_at_ms"], each[2]["comment_id"], each[1])
    ):
        places[user] += 1
        wanted.append((user, item, show(row["commented_at_ms"]), places[user]))

    found = run("release_interactions", {"pairs": (rows, INTERACTIONS), **IDS}, timestamps=timestamps)

    assert wanted == [tuple(row.values()) for row in found]


@given(rows=interactions, said=comments)
@quick
def test_public_users_have_the_length_of_their_sequence(run, rows, said):
    """Only users with a pair are there, each with its count and the gender that its comments give."""
    counts = Counter(user for user, _, _ in public(rows))
    genders = {}
    for user in USER_IDS:
        own = [row["gender"] for row in said if row["user_key"] == user["user_key"] and row["gender"]]
        genders[user["user_id"]] = max(own, default=None)

    found = run("release_users", {"pairs": (rows, INTERACTIONS), "crawled_texts": (said, CRAWLED_TEXTS), **IDS})

    assert [(user, counts[user], genders[user]) for user in sorted(counts)] == [tuple(row.values()) for row in found]


@given(said=comments)
@quick
def test_public_texts_are_those_of_the_interactions(run, said):
    """One row for each pair whose comment has a text, and no other comment's text, whichever page it was made on."""
    rows = list({(row["user_key"], row["video_id"]): {**row, "page_id": row["video_id"]} for row in said}.values())
    for row in rows:
        row["video_id"] = COUNTS_FOR.get(row["page_id"], row["page_id"])
    rows = list({(row["user_key"], row["video_id"]): row for row in rows}.values())
    wanted = sorted((user, item, row["text"]) for user, item, row in public(rows) if row["text"] is not None)

    found = run(
        "release_comments",
        {
            "pairs": ([{name: row[name] for name in ITEM_PAIRS.names} for row in rows], ITEM_PAIRS),
            "crawled_texts": (said, CRAWLED_TEXTS),
            **IDS,
        },
    )

    assert wanted == [tuple(row.values()) for row in found]


@given(
    stored=st.dictionaries(
        st.tuples(st.sampled_from(VIDEOS), st.sampled_from(["cover", "audio", "video"])), st.booleans()
    ),
    failed=st.dictionaries(st.sampled_from([f"{v}/{k}" for v in VIDEOS for k in ("cover", "video")]), st.just("gone")),
    selected=st.sets(st.sampled_from(VIDEOS)),
    crawled=st.sets(st.sampled_from(VIDEOS)),
)
@quick
def test_measured_has_one_row_for_each_page(run, stored, failed, selected, crawled):
    """Whatever else is known or not, no page is lost and none is doubled."""
    pages = [
        {"video_id": video, "failure": None, "refusal": None, "like_count": 3, "has_cover": True, "has_video": True}
        for video in VIDEOS
    ]
    page = pa.schema(
        [
            *((name, pa.string()) for name in ("video_id", "failure", "refusal")),
            ("like_count", pa.int64()),
            ("has_cover", pa.bool_()),
            ("has_video", pa.bool_()),
        ]
    )
    assets = [
        {"video_id": v, "kind": k, "sha256": f"{v}{k}", "size_bytes": 7, "mime": "m", "is_decodable": fine}
        for (v, k), fine in stored.items()
    ]
    found = run(
        "measured",
        {
            "page": (pages, page),
            "videos": ([video_row(v, like_count=9) for v in sorted(crawled)], CRAWLED_VIDEOS),
            "selection": kept(*selected),
            "asset": (assets, MEASUREMENTS),
            "failure": (
                [{"name": name, "reason": reason} for name, reason in failed.items()],
                pa.schema([("name", pa.string()), ("reason", pa.string())]),
            ),
        },
    )

    assert VIDEOS == [row["video_id"] for row in found]
    for row in found:
        video = row["video_id"]
        assert (video in selected) == row["is_selected"]
        assert ("t" if video in crawled else None, 9 if video in crawled else 3) == (row["title"], row["like_count"])
        assert stored.get((video, "cover")) == row["cover_is_decodable"]
        assert (f"{video}video" if (video, "video") in stored else None) == row["video_sha256"]
        assert failed.get(f"{video}/video") == row["video_failure"]


def test_parameters_become_literals():
    """Numbers stand as they are, words are quoted, and a cast's double colon is no parameter."""
    sql = _bound("SELECT :n, :word, x::int", {"n": 3, "word": "it's"})

    assert "SELECT 3, 'it''s', x::int" == sql


@pytest.mark.parametrize(
    "name",
    [
        "candidates",
        "core_pairs",
        "floors",
        "items",
        "imported_comments",
        "imported_interactions",
        "measured",
        "merged_pairs",
        "observed_items",
        "observed_users",
        "pairs_within",
        "pool_items",
        "pool_users",
        "release_comments",
        "release_interactions",
        "release_items",
        "release_users",
        "sampled_pairs",
        "sampled_users",
        "snapshots",
        "users",
        "videos",
    ],
)
def test_every_step_states_its_order_and_its_fact(name):
    """A step says in a comment what it gives, and no result depends on chance."""
    text = step_sql(name)

    assert text.startswith("-- ")
    assert "ORDER BY" in text.rpartition("\nFROM")[2]

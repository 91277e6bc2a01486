"""Releases: public ids, the same bytes whenever they are built, and numbers that are those of the tables."""

import tracemalloc
from collections import Counter, defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import microlens
from integration import anonymise
from integration.anonymise import USER_IDS, assign_ids
from integration.subset import short_count
from microlens.errors import CorruptDataError, NotReadyError, TooFewUsersError
from microlens.manifest import MANIFEST_NAME, read_manifest, verify
from microlens.privacy import Pseudonymiser
from tests.integration.made import DAY_MS, comment_key, data_bytes, earliest, release_table, world

PSEUDONYMS = Pseudonymiser(bytes(range(32)))
KEYS = st.sets(st.binary(min_size=16, max_size=16), max_size=30)


def read_back(made, built, data):
    """(raw user, video, time, position) of every public pair, by the private maps."""
    raw = made.users(data)
    users = {number: raw[key] for key, number in made.ids(built.name, "user").items()}
    items = {number: name for name, number in made.ids(built.name, "item").items()}
    return [
        (users[row["user_id"]], items[row["item_id"]], row["timestamp_ms"], row["position"])
        for row in release_table(built, "interactions")
    ]


def positions(wanted):
    """Hand-made pairs in the form of `read_back`, but for ties among equal comments."""
    own = defaultdict(list)
    for (user, video), row in wanted.items():
        own[user].append((row["commented_at_ms"], row["comment_id"], video))
    return {
        (user, video, at, place)
        for user, rows in own.items()
        for place, (at, _, video) in enumerate(sorted(rows), start=1)
    }


# --- ids ---


def ids_of(path, keys, pseudonyms=PSEUDONYMS):
    """Ids by their keys."""
    listed = list(keys)
    return dict(
        zip(listed, assign_ids(path, pa.array(listed, pa.binary(16)), USER_IDS, pseudonyms).to_pylist(), strict=True)
    )


def ids_by_hand(versions):
    """Each version's new keys in keyed order, after all that were there before."""
    known = {}
    for keys in versions:
        new = sorted((key for key in keys if key not in known), key=lambda key: PSEUDONYMS.order_key("user_id", key))
        known |= {key: place for place, key in enumerate(new, start=len(known) + 1)}
    return known


@given(versions=st.lists(KEYS, min_size=1, max_size=4), at_once=st.integers(1, 40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_are_those_drawn_by_hand(tmp_path, versions, at_once):
    """Whatever the versions, and however large the pieces in which the map is looked up."""
    path = tmp_path / "users.parquet"
    path.unlink(missing_ok=True)
    wanted = ids_by_hand(versions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anonymise, "_AT_ONCE", at_once)
        patch.setattr(anonymise, "_DRAWN_AT_ONCE", at_once)
        given_ids = [ids_of(path, keys) for keys in versions]

    assert [{key: wanted[key] for key in keys} for keys in versions] == given_ids
    assert sorted(wanted.items(), key=lambda each: each[1]) == [
        (row["user_key"], row["user_id"]) for row in pq.read_table(path).to_pylist()
    ]


@given(first=KEYS, second=KEYS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_are_dense_kept_and_never_shared(tmp_path, first, second):
    """A first map is 1..n; a later one keeps it and appends 1..m without a hole; no two keys share an id."""
    path = tmp_path / "users.parquet"
    path.unlink(missing_ok=True)
    before, after = ids_of(path, first), ids_of(path, second)

    assert list(range(1, len(first) + 1)) == sorted(before.values())
    assert second == set(after)
    assert {key: before[key] for key in first & second} == {key: after[key] for key in first & second}
    new = {after[key] for key in second - first}
    assert set(range(len(first) + 1, len(first | second) + 1)) == new
    assert before == ids_of(path, first)


@given(keys=KEYS, shuffle=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ids_depend_on_the_key_and_not_on_the_order(tmp_path, keys, shuffle):
    """They are drawn in keyed order, so that they tell nothing of the crawl."""
    path, listed = tmp_path / "users.parquet", sorted(keys)
    drawn = []
    for pseudonyms in (PSEUDONYMS, PSEUDONYMS, Pseudonymiser(bytes(32))):
        path.unlink(missing_ok=True)
        shuffle.shuffle(listed)
        drawn.append(ids_of(path, listed, pseudonyms))

    assert drawn[0] == drawn[1]
    assert len(keys) < 10 or drawn[0] != drawn[2]


def test_ids_are_no_python_objects(tmp_path):
    """100,000 new keys, and then as known ones, take some 50 bytes each; as objects they would take some 300."""
    keys = pa.array((number.to_bytes(16, "big") for number in range(100_000)), pa.binary(16))
    tracemalloc.start()
    try:
        drawn = [assign_ids(tmp_path / "users.parquet", keys, USER_IDS, PSEUDONYMS) for _ in range(2)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert drawn[0] == drawn[1]
    assert peak < 10_000_000


def test_a_map_that_gives_an_id_twice_is_corrupt(tmp_path):
    """A damaged map is not published from."""
    path = tmp_path / "users.parquet"
    rows = [{"user_key": bytes(16), "user_id": 1}, {"user_key": bytes([1] * 16), "user_id": 1}]
    pq.write_table(pa.Table.from_pylist(rows, schema=USER_IDS), path)

    with pytest.raises(CorruptDataError, match="gives an id twice"):
        ids_of(path, [bytes(16)])


def test_a_later_version_keeps_its_ids(small):
    """More data under the same name: known users and items keep their numbers, new ones are appended."""
    data = world(1)
    small.fill(data).build()
    before = {kind: small.ids("out", kind) for kind in ("user", "item")}
    more = {"v8": {"title": "A late one", "like_count": 5, "stage": "seed"}}
    small.add_videos(more)
    row = data.comments[0]
    small.add_comments(
        ["v8"], [{**row, "video_id": "v8", "comment_id": comment_key(f"n{n}"), "user": f"new{n}"} for n in range(4)]
    )
    built = small.build()
    after = {kind: small.ids("out", kind) for kind in ("user", "item")}

    assert built.is_new
    for kind, grown in (("user", 4), ("item", 1)):
        assert before[kind].items() <= after[kind].items()
        assert list(range(1, len(before[kind]) + grown + 1)) == sorted(after[kind].values())
    assert [row["item_id"] for row in release_table(built, "items")] == sorted(after["item"].values())


# --- what is published ---


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_user", [1, 3])
def test_a_release_is_what_is_counted_by_hand(small, seed, min_user):
    """All pairs of eligible users, oldest first, with dense ids, and only items that somebody commented on."""
    data = world(seed)
    built = small.fill(data, parts=2).build(min_user=min_user)
    pairs = earliest(data.comments, 5000)
    counts = Counter(user for user, _ in pairs)
    wanted = {pair: row for pair, row in pairs.items() if counts[pair[0]] >= min_user}

    assert positions(wanted) == set(read_back(small, built, data))
    assert len(wanted) == len(release_table(built, "interactions"))
    assert sorted(counts[user] for user in {user for user, _ in wanted}) == sorted(
        row["interaction_count"] for row in release_table(built, "users")
    )
    for kind, table in (("user", "users"), ("item", "items")):
        ids = [row[f"{kind}_id"] for row in release_table(built, table)]
        assert list(range(1, len(ids) + 1)) == ids
    items = {name for name, number in small.ids("out", "item").items()}
    assert {video for _, video in wanted} == items


def test_texts_are_those_of_the_pairs(small):
    """The text beside a pair is that of the comment that is the interaction."""
    data = world(3)
    built = small.fill(data).build()
    raw = small.users(data)
    users = {number: raw[key] for key, number in small.ids("out", "user").items()}
    items = {number: name for name, number in small.ids("out", "item").items()}
    found = {(users[row["user_id"]], items[row["item_id"]]): row["text"] for row in release_table(built, "comments")}

    assert {
        pair: row["text"] for pair, row in earliest(data.comments, 5000).items() if row["text"] is not None
    } == found


@pytest.mark.parametrize(
    ("timestamps", "shown"),
    [("exact", lambda at: at), ("day", lambda at: at - at % DAY_MS), ("order", lambda _: None)],
)
def test_time_is_told_as_asked(small, timestamps, shown):
    """exact, rounded down to the day in UTC, or not at all; the order is the same in each."""
    data = world(4)
    built = small.fill(data).build(timestamps=timestamps)

    assert {(user, video, shown(at), place) for user, video, at, place in positions(earliest(data.comments, 5000))} == (
        set(read_back(small, built, data))
    )


def test_media_are_hard_links_into_the_store(small):
    """A release takes no second place on the disk, and its files are those of the tables."""
    built = small.fill(world(5)).build()

    for row in release_table(built, "items"):
        for kind in ("cover", "video", "audio"):
            path, sha256 = row[f"{kind}_path"], row[f"{kind}_sha256"]
            assert (path is None) == (sha256 is None)
            if path is not None:
                assert (built.path / path).samefile(small.run.store.path(sha256))
                assert f"/{row['item_id']}." in path
    assert any(row["audio_path"] for row in release_table(built, "items"))


@pytest.mark.parametrize(
    ("kind", "mime", "suffix"),
    [
        ("cover", "image/jpeg", ".jpg"),
        ("video", "video/mp4", ".mp4"),
        ("audio", "video/mp4", ".m4a"),
        ("audio", "audio/mp4", ".m4a"),
        ("video", "application/octet-stream", ".bin"),
    ],
)
def test_the_suffix_says_what_the_bytes_are(small, kind, mime, suffix):
    """An MP4 with sound only is .m4a; a type that nobody knows is .bin."""
    data = world(1, videos=1)
    data.videos["v0"]["audio"] = False
    small.add_asset("v0", kind, mime=mime)
    built = small.fill(data).build()
    (path,) = (built.path / "media" / f"{kind}s").iterdir()

    assert f"1{suffix}" == path.name


# --- the same bytes ---


def test_two_builds_of_the_same_data_are_the_same_bytes(make):
    """Another node, other parts, another hour: `data/` is byte for byte the same, and names no machine."""
    one = make("one").fill(world(6)).build()
    other = make("other", node="node-two").fill(world(6), parts=4, shuffle=9).build()

    assert data_bytes(one) == data_bytes(other)
    for body in data_bytes(other).values():
        assert b"node-two" not in body
    year = read_manifest(other.path, next_step="").finished_at[:4].encode()
    assert not any(year + b"-" in body for body in data_bytes(other).values())


def test_a_release_is_built_again_only_if_something_changed(small):
    """The same draw of the same tables stands; another minimum is a new build."""
    small.fill(world()).integrate()
    first, again, other = small.subset(), small.subset(), small.subset(min_user=2)

    assert (True, False, True) == (first.is_new, again.is_new, other.is_new)


@pytest.mark.parametrize("step", ["pairs", "users and items", "interactions", "media"])
def test_killed_in_its_midst_a_release_is_built_again(make, step):
    """The next call gives the bytes of an undisturbed one."""
    from integration.subset import Draw, subset

    calm, killed = make("calm").fill(world(7)).build(), make("killed").fill(world(7))
    killed.integrate()

    def on_step(name):
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subset(killed.run, killed.settings, Draw(min_user=1, name="out"), on_step)
    with pytest.raises(NotReadyError):
        microlens.load(killed.run.release_folder("out"))

    assert data_bytes(calm) == data_bytes(killed.subset())


def test_the_manifest_finds_a_flipped_byte_in_any_file(small):
    """Every file of a release but the manifest itself is listed with its hash."""
    built = small.fill(world(8, videos=3)).build()
    listed = {output.path for output in verify(built.path).outputs}
    there = {path.relative_to(built.path).as_posix() for path in built.path.rglob("*") if path.is_file()}

    assert {*listed, MANIFEST_NAME} == there
    for name in sorted(listed):
        path = built.path / name
        body = path.read_bytes()
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(CorruptDataError, match=path.name):
            verify(built.path)
        path.write_bytes(body)
    verify(built.path)


def test_no_raw_user_reaches_the_run(small):
    """Neither tables, maps nor releases hold a raw id; a release holds no key either."""
    data = world(8)
    built = small.fill(data).build()
    keys = set(small.users(data))

    for path in small.run.folder.rglob("*"):
        if path.is_file():
            assert b"raw-" not in path.read_bytes()
    for name in ("items", "interactions", "users", "comments"):
        columns = pq.read_table(built.path / "data" / f"{name}.parquet").to_pydict()
        assert not keys & {value for values in columns.values() for value in values if isinstance(value, bytes)}
        assert "user_key" not in columns


# --- draws ---


@pytest.mark.parametrize("seed", [1, 2])
def test_a_smaller_release_lies_within_a_larger_one(small, seed):
    """Users of a draw of n are all in the draw of n + m, with the same pairs."""
    data = world(seed)
    small.fill(data).integrate()
    pairs = []
    for count in (2, 5, 9):
        built = small.subset(users=count, name=f"of-{count}")
        pairs.append({(user, video, at) for user, video, at, _ in read_back(small, built, data)})
        assert count == built.counts["users"]

    assert pairs[0] < pairs[1] < pairs[2]


def test_another_seed_draws_other_users(make):
    """The draw is by the recipe's seed."""
    drawn = []
    for seed in (1, 2):
        data, made = world(1, users=30), make(f"seed-{seed}", seed=seed)
        built = made.fill(data).build(users=5)
        drawn.append({user for user, *_ in read_back(made, built, data)})

    assert 5 == len(drawn[0]) == len(drawn[1])
    assert drawn[0] != drawn[1]


def test_more_users_than_there_are_takes_all_and_says_so(small):
    """Not strict, a draw that is too large is named by the users that it really has."""
    data = world(1)
    eligible = len({user for user, _ in earliest(data.comments, 5000)})
    small.fill(data).integrate()
    built = small.subset(users=1000, name=None)

    assert (f"small-{eligible}", eligible) == (built.name, built.counts["users"])


def test_strict_publishes_nothing_rather_than_less(small):
    """The error says both numbers, and ends the command with 4."""
    small.fill(world(1)).integrate()

    with pytest.raises(TooFewUsersError, match=r"1000 users were asked for.* has \d+ with at least 1") as failed:
        small.subset(users=1000, is_strict=True)

    assert 4 == failed.value.exit_code
    assert not small.run.release_folder("out").exists()


def test_a_draw_before_integration_is_not_ready(small):
    """It says what to run first."""
    small.fill(world(1))

    with pytest.raises(NotReadyError, match="integrate"):
        small.subset()


@pytest.mark.parametrize(
    ("count", "name"), [(0, "0"), (999, "999"), (1000, "1K"), (1500, "1500"), (100_000, "100K"), (2_000_000, "2M")]
)
def test_counts_are_named_as_the_paper_names_them(count, name):
    """Round thousands and millions have a letter, all others stand as they are."""
    assert name == short_count(count)


# --- the card ---


def test_the_numbers_are_those_of_the_tables(small):
    """Card, manifest and tables say the same."""
    data = world(9)
    built = small.fill(data).build()
    items, users = release_table(built, "items"), release_table(built, "users")
    pairs, counts = release_table(built, "interactions"), built.counts
    card = (built.path / "README.md").read_text()

    assert (len(users), len(items), len(pairs)) == (counts["users"], counts["items"], counts["interactions"])
    assert pytest.approx(1 - len(pairs) / (len(users) * len(items)), abs=1e-6) == counts["sparsity"]
    assert len({tag for row in items for tag in row["tags"]}) == counts["tags"]
    assert pytest.approx(sum(row["duration_s"] for row in items) / len(items), abs=1e-3) == counts["mean_duration_s"]
    for kind in ("cover", "audio", "video"):
        assert len(list((built.path / "media" / f"{kind}s").iterdir())) == counts[f"{kind}s"]
    assert f"| out | {len(users):,} | {len(items):,} | {len(pairs):,} |" in card
    assert f"| found on the site | {len(data.videos):,} |" in card
    assert counts == read_manifest(built.path, next_step="").counters


def test_likes_above_views_are_flagged_and_kept(small):
    """A column marks what cannot be, an unknown count is no judgement, and the card counts the marks."""
    data = world(9, videos=4)
    views = {"v0": 1, "v1": 10**9, "v2": None, "v3": 2}
    for video_id, told in data.videos.items():
        told["view_count"] = views[video_id]
    built = small.fill(data).build()

    flags = {
        row["page_url"].rpartition("/")[2]: row["has_more_likes_than_views"] for row in release_table(built, "items")
    }
    assert {"v0": True, "v1": False, "v2": None, "v3": True} == flags
    assert {"has_more_likes_than_views": 2} == built.counts["flags"]
    assert "`has_more_likes_than_views`: 2 with more likes than views" in (built.path / "README.md").read_text()


def test_the_card_says_which_videos_were_seeds(make):
    """Floors and lists of the recipe stand in the card with the reasons that verdicts have."""
    seeds = {"min_interactions": 100, "categories": ["Music"], "languages": ["zh", "en"]}
    built = make(seeds=seeds).fill(world()).build()

    card = (built.path / "README.md").read_text()
    assert "with 100 comments or fewer (`too_few_interactions`)" in card
    assert "of another category than 1 chosen ones (`other_category`)" in card
    assert "in another language than zh, en (`other_language`)" in card


def test_the_card_holds_no_text_of_users(small):
    """Titles, tags and comments are hostile text: none of them is in the README."""
    data = world(9)
    for video in data.videos.values():
        video |= {"title": "<script>alert(1)</script>", "tags": ["<script>"]}
    built = small.fill(data).build()

    assert "<script>" not in (built.path / "README.md").read_text()


def test_a_release_without_users_is_still_a_release(small):
    """No comments: no users, no items, no division by zero."""
    built = small.fill(world(1, comments=0)).build()

    assert (0, 0, 0, None) == tuple(built.counts[name] for name in ("users", "items", "interactions", "sparsity"))
    assert 0 == microlens.load(built.path).pairs.num_rows


def test_the_loader_reads_what_was_built(small):
    """microlens.load gives the tables and the paths of the media."""
    built = small.fill(world(2)).build()
    dataset = microlens.load(built.path)
    dataset.verify()

    assert release_table(built, "interactions") == dataset.pairs.to_pylist()
    assert len(dataset.videos) == built.counts["videos"]
    assert all(path.exists() for path in dataset.videos.values())


def test_two_processes_do_not_publish_at_once(small):
    """Whoever comes second is told to wait, and writes nothing."""
    small.fill(world(9))

    with small.run.lock_tables(), pytest.raises(NotReadyError, match="another process"):
        small.integrate()

    assert not (small.run.integrated / "_manifest.json").exists()

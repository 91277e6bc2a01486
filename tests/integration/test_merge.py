"""Integration of a small run: counted once, done once, and the same whatever happened on the way."""

import random
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.manifest import MANIFEST_NAME, verify
from tests.integration.made import comment_key, data_bytes, earliest, world

TABLES = ["videos", "measured", "verdicts", "items", "interactions", "users"]
STEPS = ["videos", "measured", "verdicts", "items", "gather", "merge bucket 1 of 1", "users 1"]


class KilledError(Exception):
    """Stands for SIGKILL between two tables."""


def kill_at(step):
    def on_step(name):
        if name == step:
            raise KilledError

    return on_step


def tables(made):
    """All but the list of readings, which names parts: their names are drawn."""
    folder = made.run.integrated
    found = (path for path in folder.rglob("*.parquet") if not path.name.startswith("readings-"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def pairs_of(made, data):
    """Interactions in raw users."""
    raw = made.users(data)
    return {(raw[row["user_key"]], row["video_id"]): row["comment_id"] for row in made.table("interactions")}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [3, 10, 5000])
def test_interactions_are_those_counted_by_hand(make, seed, limit):
    """The earliest comment of each user if it is among the newest of its video, and the users with their counts."""
    data, made = world(seed), make(comments={"max_per_video": limit})
    made.fill(data, parts=3)
    manifest, is_new = made.integrate()
    wanted = earliest(data.comments, limit)

    assert is_new
    assert {pair: row["comment_id"] for pair, row in wanted.items()} == pairs_of(made, data)
    raw = made.users(data)
    assert Counter(user for user, _ in wanted) == {
        raw[row["user_key"]]: row["interaction_count"] for row in made.table("users")
    }
    assert (len(wanted), len({user for user, _ in wanted})) == (
        manifest.counters["interactions"],
        manifest.counters["users"],
    )


def test_every_video_has_one_verdict_and_the_counts_add_up(small):
    """What was found is kept or dropped, each reason with its number."""
    data = world(2)
    small.fill(data)
    ledger = small.run.ledger
    small.add_videos({"short": {"title": "a", "like_count": 5, "stage": "seed"}})
    small.add_videos({"copy": {"title": "A copy", "like_count": 1, "stage": "seed"}})
    small.add_asset("copy", "audio")
    small.add_comments(["short", "copy"], [])
    _gone(ledger, "gone")
    _gone(ledger, "unread", failure=None)
    small.fail("unread/cover", "timeout")
    manifest, _ = small.integrate()
    verdicts = small.table("verdicts")
    dropped = {row["video_id"]: row["reason"] for row in verdicts if not row["is_kept"]}

    assert {"short": "title_too_short", "gone": "gone", "unread": "unpopular"} == dropped
    assert len(data.videos) + 4 == manifest.counters["found"] == len(verdicts)
    assert Counter(dropped.values()) == manifest.counters["dropped"]
    assert len(data.videos) + 1 == manifest.counters["kept"] == len(small.table("items"))
    assert manifest.counters["found"] == manifest.counters["kept"] + sum(manifest.counters["dropped"].values())


def test_comments_of_dropped_videos_are_no_interactions(small):
    """A video without a verdict in its favour gives nothing, however often it was commented on."""
    data = world(3)
    data.videos["v0"]["title"] = "?"
    small.fill(data).integrate()

    assert any(row["video_id"] == "v0" for row in data.comments)
    assert "v0" not in {row["video_id"] for row in small.table("interactions")}


def test_the_same_inputs_are_not_merged_twice(small):
    """A second call does nothing: the manifest, its times included, and the tables stay as they are."""
    small.fill(world())
    first, _ = small.integrate()
    before = (small.run.integrated / MANIFEST_NAME).read_bytes(), tables(small)
    second, is_new = small.integrate()

    assert not is_new
    assert first == second
    assert before == ((small.run.integrated / MANIFEST_NAME).read_bytes(), tables(small))


def test_a_new_part_is_merged(small):
    """What was committed since makes the merge due again."""
    small.fill(world(1))
    small.integrate()
    more = {"late": {"title": "A late one", "like_count": 5, "stage": "seed"}}
    small.add_videos(more)
    small.add_comments(["late"], [{**world(1).comments[0], "video_id": "late"}])
    manifest, is_new = small.integrate()

    assert is_new
    assert "late" in {row["video_id"] for row in small.table("interactions")}
    assert len(world(1).videos) + 1 == manifest.counters["kept"]


def test_a_changed_threshold_decides_anew_without_the_media(small):
    """Verdicts come from stored measurements: no file of the store is needed."""
    small.fill(world())
    small.add_videos({"big": {"title": "A big one", "like_count": 5, "stage": "seed"}})
    small.add_comments(["big"], [])
    small.integrate()
    for path in (small.run.folder / "store" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    small.open(filters={"max_cover_share": 0.1})
    manifest, is_new = small.integrate()

    assert is_new
    assert {"cover_single_color": len(world().videos) + 1} == manifest.counters["dropped"]
    assert 0 == manifest.counters["interactions"]

    small.open()
    manifest, is_new = small.integrate()

    assert is_new
    assert {} == manifest.counters["dropped"]


def test_near_duplicates_are_told_from_the_ledger_alone(small):
    """Three frames that differ in 8 bits: how like is alike can be changed, and no file of the store is read."""
    dice = random.Random(4)
    scenes = [sum(1 << place for place in dice.sample(range(256), 128)) for _ in range(3)]
    for name, likes, flips in (("first", 9, 0), ("again", 5, 0xFF)):
        hashes = tuple(f"{scene ^ flips:064x}" for scene in scenes)
        told = {"title": name, "like_count": likes, "stage": "seed", "measured": {"video": {"frame_hashes": hashes}}}
        small.add_videos({name: told})
    small.add_comments(["first", "again"], [])
    dropped = []
    for bits in (15, 7, 8, 0):
        small.open(filters={"near_duplicate_bits": bits})
        small.integrate()
        dropped.append({row["video_id"]: row["measured"] for row in small.table("verdicts") if not row["is_kept"]})

    assert [{"again": 8}, {}, {"again": 8}, {}] == dropped


@pytest.mark.parametrize("changes", [{"releases": [{"name": "other"}]}, {"politeness": {"concurrency": 9}}])
def test_what_does_not_decide_the_tables_needs_no_merge(small, changes):
    """Another release or another speed leaves the integrated tables finished."""
    small.fill(world())
    small.integrate()
    small.open(**changes)

    assert not small.integrate()[1]


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_tables_it_begins_again(make, step):
    """Without a manifest nothing counts, and the next call gives the bytes of an undisturbed one."""
    from integration.merge import integrate

    calm, killed = make("calm").fill(world(4)), make("killed").fill(world(4))
    calm.integrate()
    with pytest.raises(KilledError):
        integrate(killed.run, killed.settings, kill_at(step))

    assert not (killed.run.integrated / MANIFEST_NAME).exists()
    with pytest.raises(NotReadyError):
        killed.subset()

    assert killed.integrate()[1]
    assert tables(calm) == tables(killed)


def test_a_kill_after_a_change_leaves_no_old_manifest(small):
    """Half new tables never stand under the manifest of the old ones."""
    from integration.merge import integrate

    small.fill(world())
    small.integrate()
    small.open(filters={"min_video_bytes": 1})
    with pytest.raises(KilledError):
        integrate(small.run, small.settings, kill_at("items"))

    assert not (small.run.integrated / MANIFEST_NAME).exists()


@pytest.mark.parametrize(("parts", "shuffle"), [(1, 1), (3, 2), (8, 3)])
def test_the_tables_depend_on_neither_parts_nor_order(make, parts, shuffle):
    """The same rows in other parts, in another order, from another node: the same rows in the same order."""
    one = make("one").fill(world(5))
    other = make("other", node="node-two").fill(world(5), parts=parts, shuffle=shuffle)
    one.integrate()
    other.integrate()

    for step in TABLES:
        assert one.table(step) == other.table(step)


def comment_parts(made, kind="comments"):
    return [made.run.folder / part.path for part in made.run.ledger.parts(kind)]


def steps_of(made):
    """The steps that an integration takes."""
    from integration.merge import integrate

    taken = []
    integrate(made.run, made.settings, taken.append)
    return taken


def test_a_changed_threshold_reads_no_comments_again(small):
    """What was merged stays merged: verdicts, items and users are decided anew, without a part of comments."""
    data = world(8)
    data.videos["v0"]["title"] = "abc"
    small.fill(data, parts=3).integrate()
    before = small.table("interactions")
    for path in comment_parts(small):
        path.unlink()
    small.open(filters={"min_title_characters": 4})
    taken = steps_of(small)

    assert [row for row in before if row["video_id"] != "v0"] == small.table("interactions") != before
    assert ("users 1" in taken, {"gather", "merge bucket 1 of 1"} & set(taken)) == (True, set())


def test_users_are_counted_again_only_if_the_items_changed(small):
    """A threshold that changes nothing about what is kept costs no look at the pairs."""
    small.fill(world(9)).integrate()
    before = small.table("users")
    small.open(filters={"min_video_bytes": 1})

    assert "users 1" not in steps_of(small)
    assert before == small.table("users")


def test_comments_are_gathered_while_the_crawl_goes_on(make):
    """Taken in part by part, and each part deleted then: the bytes of one integration at the end, texts included."""
    calm, gathered = (make(name) for name in ("calm", "gathered"))
    data = world(10)
    calm.fill(data, parts=4).integrate()
    names = list(data.videos)
    for some in (names[::2], names[1::2]):
        gathered.add_videos({name: data.videos[name] for name in some})
        gathered.add_comments(some, [row for row in data.comments if row["video_id"] in some])
        told = gathered.gather()
        for path in comment_parts(gathered):
            path.unlink(missing_ok=True)
    gathered.finish_crawl().integrate()

    assert {"readings": len(names), "pairs": 0, "comments that wait": len(data.comments)} == told
    for name in TABLES:
        assert calm.table(name) == gathered.table(name)
    built = calm.subset()
    assert data_bytes(built) == data_bytes(gathered.subset())
    assert pq.read_table(built.path / "data/comments.parquet").num_rows


def test_comments_taken_in_beside_an_integration_wait_for_it(make, monkeypatch):
    """An integration knows of all that was taken in before it, and nobody takes in more meanwhile."""
    made, data = make(comments={"text": "none"}), world(10)
    names = list(data.videos)
    made.add_videos(data.videos)
    early, late = ([row for row in data.comments if row["video_id"] in some] for some in (names[:4], names[4:]))
    made.add_comments(names[:4], early)
    made.finish_crawl()
    refused = []

    def beside(*_, **__):
        made.add_comments(names[4:], late)
        with pytest.raises(NotReadyError, match="another process") as waits:
            made.gather()
        refused.append(waits)

    monkeypatch.setattr("integration.merge.check_here", beside)
    made.integrate(is_partial=True)
    monkeypatch.undo()
    manifest, _ = made.integrate()

    assert 1 == len(refused)
    assert len(earliest(data.comments, 5_000)) == manifest.counters["interactions"]


def test_tables_of_an_unfinished_crawl_are_not_taken_for_whole_ones(small):
    """What is partial is only good enough for who asked for it."""
    data = world(3)
    names = list(data.videos)
    small.add_videos(data.videos)
    small.add_comments(names[:4], [row for row in data.comments if row["video_id"] in names[:4]])
    small.finish_crawl()
    first, again = (small.integrate(is_partial=True)[1] for _ in range(2))
    with pytest.raises(NotReadyError, match="comments of 4 videos"):
        small.integrate()
    small.add_comments(names[4:], [row for row in data.comments if row["video_id"] in names[4:]])
    whole = small.integrate()[1]

    assert (True, False, True) == (first, again, whole)
    assert not small.integrate(is_partial=True)[1]


def test_what_is_gathered_since_leaves_the_tables_as_they_are(small):
    """A draw after it is that of the last integration."""
    data = world(11)
    small.fill(data).integrate()
    first = small.subset()
    late = {"late": {"title": "A late one", "like_count": 5, "stage": "seed"}}
    small.add_videos(late)
    small.add_comments(["late"], [{**data.comments[0], "video_id": "late"}])
    told = small.gather()

    assert 1 == told["comments that wait"]
    assert first.counts == small.subset().counts
    assert small.integrate()[1]
    assert "late" in {row["video_id"] for row in small.table("interactions")}


@pytest.mark.parametrize("is_gone", [True, False])
def test_texts_that_are_not_as_they_were_are_named(small, is_gone):
    """Tables are made without them; a release is not published with other words, or without."""
    small.fill(world(12))
    (path,) = comment_parts(small, "texts")
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    if is_gone:
        path.unlink()
    small.integrate()

    with pytest.raises(CorruptDataError, match=f"{path} holds {'nothing' if is_gone else '[0-9a-f]{64}'}; the ledger"):
        small.subset()
    assert not small.run.release_folder("out").exists()


def test_more_comes_between_a_kill_and_the_next_call(make):
    """The merge that was killed is finished as it was begun; what came since is merged after it."""
    from integration.merge import integrate

    calm, killed = make("calm"), make("killed")
    data, more = world(13), {"late": {"title": "A late one", "like_count": 5, "stage": "seed"}}
    late = [{**row, "video_id": "late"} for row in data.comments[:9]]
    for each in (calm, killed):
        each.fill(data)
    with pytest.raises(KilledError):
        integrate(killed.run, killed.settings, kill_at("merge bucket 1 of 1"))
    for each in (calm, killed):
        each.add_videos(more)
        each.add_comments(["late"], late)
        each.integrate()

    for name in TABLES:
        assert calm.table(name) == killed.table(name)


def test_a_merged_file_that_was_changed_is_named(small):
    """Nothing is published of it, and nothing merged into it."""
    small.fill(world(14)).integrate()
    (path,) = (small.run.integrated / "pairs").glob("merge-*/000.parquet")
    path.write_bytes(path.read_bytes()[::-1])

    for stage in (small.subset, small.integrate):
        with pytest.raises(CorruptDataError, match=r"pairs.merge-1.000\.parquet"):
            stage()


def test_a_part_that_the_ledger_does_not_list_is_not_read(small):
    """A part that is left over from a crash counts for nothing."""
    from microlens.parts import write_part
    from microlens.tables import CRAWLED_COMMENTS

    small.fill(world(6))
    key = small.run.pseudonyms.user_key("sandbox", "ghost")
    row = {"video_id": "v0", "comment_id": comment_key("ghost"), "user_key": key, "commented_at_ms": 1}
    write_part(small.run.folder, "comments", pa.Table.from_pylist([row], schema=CRAWLED_COMMENTS))
    small.integrate()

    assert key not in {row["user_key"] for row in small.table("users")}


def test_two_visits_of_a_page_are_one_video(small):
    """The later record of a video is the one that is published."""
    small.fill(world(7))
    small.add_videos({"v0": {"title": "A newer title", "like_count": 77, "stage": "seed"}}, at_ms=1_800_000_000_000)
    small.integrate()
    (item,) = [row for row in small.table("items") if row["video_id"] == "v0"]

    assert ("A newer title", 77) == (item["title"], item["like_count"])


def test_a_flipped_byte_is_found(small):
    """The manifest lists every table with its hash."""
    small.fill(world())
    small.integrate()
    verify(small.run.integrated)
    path = small.run.integrated / "users" / "000.parquet"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)

    with pytest.raises(CorruptDataError, match=r"users.000\.parquet"):
        verify(small.run.integrated)


def test_nothing_crawled_is_not_ready(small):
    """An empty run says which stage comes first."""
    with pytest.raises(NotReadyError, match="crawl"):
        small.integrate()


def test_a_run_without_comments_is_merged(small):
    """No comments make empty tables, not an error."""
    data = world(1, comments=0)
    manifest, _ = small.fill(data).integrate()

    assert (len(data.videos), 0, 0) == tuple(manifest.counters[name] for name in ("kept", "interactions", "users"))


def _gone(ledger, video_id, failure="gone"):
    from microlens.ledger_rows import PageRow

    ledger.commit_crawl(pages=[PageRow(video_id, "u", failure=failure, title="A title")])


def test_a_temporary_folder_that_cannot_be_made_is_told(make, tmp_path):
    """What to correct is named; it is no bug."""
    (tmp_path / "file").touch()
    made = make().fill(world(3))
    made.settings = made.settings.model_copy(update={"temporary_dir": tmp_path / "file" / "x"})
    with pytest.raises(RecipeError, match=r"file/x, cannot be made") as told:
        made.integrate()

    assert "MICROLENS_TEMPORARY_DIR" in told.value.hint

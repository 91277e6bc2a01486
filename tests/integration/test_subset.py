"""Subsets of a small run: pools, releases drawn within others, ids that stay, and what is told of them."""

import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from integration.shape import comparison
from microlens.errors import CorruptDataError, NotReadyError, RecipeError, TooFewUsersError
from microlens.manifest import read_manifest
from microlens.recipe import Release, parse_release
from tests.integration.made import KEY, START_MS, comment_key, data_bytes, release_table, world
from tests.integration.test_refreshed import Day


@pytest.fixture
def wide(make):
    """A run of many users, integrated."""
    small = make(seed=5)
    small.fill(world(4, videos=12, users=60, comments=500)).integrate()
    return small


def pairs_of(made, name):
    """(user key, video) of a release, by its private maps."""
    users = {number: key for key, number in made.ids(name, "user").items()}
    items = {number: video for video, number in made.ids(name, "item").items()}
    path = made.run.release_folder(name) / "data" / "interactions.parquet"
    return {(users[row["user_id"]], items[row["item_id"]]) for row in pq.read_table(path).to_pylist()}


def published(built):
    """Public ids of a release, which a later version takes the place of."""
    return {kind: {row[f"{kind}_id"] for row in release_table(built, f"{kind}s")} for kind in ("user", "item")}


KILLED = """
import os, signal, sys
from pathlib import Path
from integration.draw import Draw
from integration.subset import subset
from microlens.runs import open_run
from microlens.settings import Settings

settings, left = Settings(), int(sys.argv[2])

def on_step(_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

subset(open_run(Path(sys.argv[1]), settings), settings, Draw(min_user=1, min_item=2, name="out"), on_step)
"""


def test_a_draw_that_was_killed_at_any_step_ends_as_if_it_had_not_been(make):
    """SIGKILL again and again, later each time: the bytes of an undisturbed draw, and its ids."""
    calm, killed = (make(name).fill(world(4, videos=12, users=60, comments=500)) for name in ("calm", "killed"))
    for made in (calm, killed):
        made.integrate()
    expected = calm.subset(min_item=2)
    command = [sys.executable, "-c", KILLED, str(killed.run.folder)]
    environment = {**os.environ, "MICROLENS_RUNS_DIR": str(killed.run.folder.parent), "MICROLENS_PSEUDONYM_KEY": KEY}
    ends = [
        subprocess.run([*command, str(step)], env=environment, check=False, capture_output=True).returncode
        for step in (1, 4, 7, 9)
    ]
    built = killed.subset(min_item=2)

    assert [-signal.SIGKILL] * 4 == ends
    assert data_bytes(expected) == data_bytes(built)
    assert [calm.ids("out", kind) for kind in ("user", "item")] == [
        killed.ids("out", kind) for kind in ("user", "item")
    ]


def test_a_release_that_fails_spends_no_ids(wide):
    """The first release of a name has ids from 1 on, without holes, whatever became of earlier trials."""
    lost = wide.run.store.temporary()
    stored = next(path for path in (wide.run.folder / "store" / "objects").rglob("*") if path.is_file())
    stored.rename(lost)
    with pytest.raises(CorruptDataError, match="the store has lost"):
        wide.subset(users=20)
    is_spent = (wide.run.folder / "private" / "ids" / "out").exists()
    lost.rename(stored)
    built = wide.subset(users=5)

    assert not is_spent
    assert {1, 2, 3, 4, 5} == published(built)["user"]


# --- pools ---


def test_the_paper_preset_is_its_rules(wide):
    """Only seeds with the likes, only users with five pairs among them; the release lists what that came to."""
    built = wide.subset(**parse_release({"preset": "paper", "name": "paper"}).model_dump(exclude={"timestamps"}))
    seeds = {row["video_id"] for row in wide.table("items") if row["stage"] == "seed"}
    own = [row for row in wide.table("interactions") if row["video_id"] in seeds]
    counts = {key: sum(row["user_key"] == key for row in own) for key in {row["user_key"] for row in own}}
    wanted = {(row["user_key"], row["video_id"]) for row in own if counts[row["user_key"]] >= 5}

    assert wanted == pairs_of(wide, "paper")
    assert 0 < len(wanted) < len(own)
    assert {"seed"} == {row["stage"] for row in release_table(built, "items")}
    assert (len(seeds), len({key for key, _ in wanted}), len(wanted)) == tuple(
        built.counts["drawn"][name] for name in ("pool_items", "users", "pairs")
    )


def test_a_run_whose_recipe_was_changed_is_integrated_before_it_is_drawn_from(wide):
    """A release says by which thresholds its items were kept."""
    wide.open(filters={"min_title_characters": 9})

    with pytest.raises(NotReadyError, match="recipe of 'small' was changed"):
        wide.subset()


def test_a_draw_that_finds_nobody_says_so(wide):
    """In strict mode it is an error, however many users were asked for."""
    with pytest.raises(TooFewUsersError, match="all users were asked for; the run 'small' has none"):
        wide.subset(min_user=1_000, is_strict=True)


def test_another_draw_does_not_take_the_name_of_one_that_was_named_for_its_users(wide):
    """Without a name a release is called by its users; another draw of as many needs one."""
    first = wide.subset(users=5, name=None)
    with pytest.raises(RecipeError, match=f"{first.name!r} that was drawn in another way"):
        wide.subset(users=5, name=None, seed=99)

    assert not wide.subset(users=5, name=None).is_new


def test_nested_releases_are_nested_in_the_same_pool(wide):
    """Of one seed, pool and cutoff a smaller release's pairs lie within a larger one's."""
    rules = {"stage": "seed", "cutoff": Release(cutoff="2023-11-20").cutoff, "min_user": 2}
    nested = []
    for users in (5, 12, 20):
        assert users == wide.subset(users=users, name=f"of-{users}", **rules).counts["users"]
        nested.append(pairs_of(wide, f"of-{users}"))

    assert nested[0] < nested[1] < nested[2]


def test_a_release_knows_its_core(wide):
    """Cored, every user and item keeps to the count, and the draw before it is told."""
    built = wide.subset(users=30, k_core=4, name="core")
    pairs = pairs_of(wide, "core")

    assert 4 <= min(row["interaction_count"] for row in release_table(built, "users"))
    assert 4 <= min(sum(video == other for _, other in pairs) for video in {video for _, video in pairs})
    assert built.counts["interactions"] < built.counts["drawn"]["pairs"]
    assert 30 == built.counts["drawn"]["users"]


def test_strict_a_core_without_anybody_publishes_nothing(wide):
    """Not strict, it is a release without users."""
    with pytest.raises(TooFewUsersError, match="no user is left"):
        wide.subset(users=10, k_core=40, is_strict=True)

    assert not wide.run.release_folder("out").exists()
    assert 0 == wide.subset(users=10, k_core=40).counts["users"]


# --- within a release ---


@pytest.mark.parametrize(
    "rules", [{"k_core": 3}, {"min_item": 4}, {"stage": "related"}, {"pool": 7}, {"seed": 99}, {"max_user": 8}]
)
def test_what_is_drawn_within_a_release_lies_within_it(wide, rules):
    """Whatever rules would break the nesting: users, items and pairs are the other release's."""
    wide.subset(users=25, min_user=3, seed=1, name="large")
    wide.subset(users=9, min_user=2, name="small", within="large", **rules)

    assert pairs_of(wide, "small") < pairs_of(wide, "large")
    assert wide.subset(users=9, min_user=2, name="alone", **rules).counts["users"] > 0
    assert not pairs_of(wide, "alone") <= pairs_of(wide, "large")


def test_what_has_come_since_is_not_drawn_within(wide):
    """A comment and a user that the older release does not know are in a new draw, and in none within the old one."""
    wide.subset(name="old")
    rows = [
        {
            "comment_id": comment_key(f"n{number}"),
            "user": f"new{number % 3}",
            "text": None,
            "gender": None,
            "video_id": "late",
        }
        | {"commented_at_ms": START_MS + number}
        for number in range(9)
    ]
    wide.add_videos({"late": {"title": "A late one", "like_count": 30_000, "stage": "seed"}})
    wide.add_comments(["late"], rows)
    wide.integrate()
    wide.subset(name="inside", within="old")
    wide.subset(name="new")

    assert pairs_of(wide, "old") == pairs_of(wide, "inside")
    assert "late" in {video for _, video in pairs_of(wide, "new")}


def test_a_release_within_is_built_again_only_if_the_other_changed(wide):
    """The same draw within the same release stands; within another version of it, it is a new build."""
    wide.subset(users=20, name="large")
    first, again = (wide.subset(users=5, name="small", within="large") for _ in range(2))
    wide.subset(users=10, name="large")
    other = wide.subset(users=5, name="small", within="large")

    assert (True, False, True) == (first.is_new, again.is_new, other.is_new)


def test_a_release_to_draw_within_has_to_be_there(wide):
    """An unknown one is told with the nearest; its maps and its table have to be those that it was published with."""
    built = wide.subset(name="large")

    with pytest.raises(RecipeError, match="no release 'larg'; did you mean 'large'") as failed:
        wide.subset(within="larg")
    assert "draw within one of: large" in failed.value.hint
    with pytest.raises(RecipeError, match="cannot be drawn from itself"):
        wide.subset(within="large", name="large")
    path = built.path / "data" / "interactions.parquet"
    body = path.read_bytes()
    path.write_bytes(body[:-1] + b"x")
    with pytest.raises(CorruptDataError, match=r"interactions\.parquet"):
        wide.subset(within="large")
    path.write_bytes(body)
    (wide.run.folder / "private" / "ids" / "large" / "users.parquet").unlink()
    with pytest.raises(NotReadyError, match="nobody knows whom"):
        wide.subset(within="large")


# --- ids over versions ---


def test_what_leaves_leaves_a_hole_and_what_comes_takes_none(make):
    """A video and a user go, others come: those that stay keep their ids, and no id is ever given to a second."""
    small = make()
    data = world(2, videos=4, users=6, comments=60)
    data.comments += [{**data.comments[0], "video_id": "v0", "comment_id": comment_key("only"), "user": "raw-once"}]
    first = published(small.fill(data).build())
    before = {kind: small.ids("out", kind) for kind in ("user", "item")}
    gone = small.run.pseudonyms.user_key("sandbox", "raw-once")
    day = Day(small)
    day.visit("v0", failure="gone")
    day.end("v1", "v2", "v3")
    small.add_videos({"new": {"title": "A new one", "like_count": 5, "stage": "seed"}})
    row = {**data.comments[0], "video_id": "new"}
    small.add_comments(["new"], [{**row, "comment_id": comment_key(f"n{n}"), "user": f"new{n}"} for n in range(3)])
    built = small.build()
    second = published(built)
    after = {kind: small.ids("out", kind) for kind in ("user", "item")}

    for kind, left, came in (("user", {gone}, 3), ("item", {"v0"}, 1)):
        new = set(after[kind]) - set(before[kind])
        assert before[kind].items() <= after[kind].items()
        assert came == len(new) == len({after[kind][key] for key in new} - set(before[kind].values()))
        assert left == {key for key, number in before[kind].items() if number not in second[kind]}
        assert {after[kind][key] for key in new} == second[kind] - first[kind]
    assert len(before["item"]) + 1 == built.counts["highest_item_id"]
    assert "with 1 holes, of items that earlier versions had" in (built.path / "README.md").read_text()


def test_what_comes_back_has_its_old_id(wide):
    """A user who is not drawn in one version, and is in the next, has the id of before; a hole stays a hole."""
    wide.subset(users=20)
    many = wide.ids("out", "user")
    few = published(wide.subset(users=5))["user"]
    strangers = published(wide.subset(users=12, seed=77))["user"] - set(many.values())
    back = published(wide.subset(users=20))["user"]

    assert few < back == set(many.values())
    assert many.items() <= wide.ids("out", "user").items()
    assert min(strangers) == 21


# --- what is told ---


def test_shape_and_rules_stand_in_counts_and_card(wide):
    """The numbers of the manifest are those of the card, beside the nearest published dataset's."""
    built = wide.subset(users=15, stage="seed", min_user=3)
    card = (built.path / "README.md").read_text()
    pairs, shape = release_table(built, "interactions"), built.counts["shape"]

    assert built.counts == read_manifest(built.path, next_step="").counters
    assert (15, len(pairs)) == (shape["users"], shape["interactions"])
    assert pytest.approx(len(pairs) / 15, abs=1e-6) == shape["mean_length"]
    assert {"--users": "15", "--min-user": "3", "--stage": "seed"} == built.counts["drawn"]["rules"]
    assert "| `--stage` | seed |" in card
    assert "15 of the eligible users within a pool of" in card
    assert ("MicroLens-50K", 7.19416) == tuple(built.counts["published"][name] for name in ("name", "mean_length"))
    for row in comparison("out", shape):
        assert f"| {' | '.join(row)} |" in card


def test_other_parts_draw_the_same_bytes(make):
    """A cored draw of a pool at a cutoff is byte for byte the same from one part and from five."""
    data = world(6, videos=12, users=60, comments=500)
    rules = {"users": 20, "stage": "seed", "k_core": 2, "cutoff": Release(cutoff="2023-11-22").cutoff}
    one = make("one").fill(data).build(**rules)
    other = make("other", node="node-two").fill(data, parts=5, shuffle=3).build(**rules)

    assert data_bytes(one) == data_bytes(other)
    assert one.counts["interactions"] > 0


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"max_user": 3}, r"5 interactions or more \(min_user\) and 3 or fewer"),
        ({"k_core": 9, "max_user": 8}, "9-core"),
        ({"stage": "seeds"}, "stage = 'seeds'"),
        ({"cutoff": "soon"}, r"cutoff = 'soon': give a day \(2022-09-13\)"),
        ({"cutoff": 17}, "cutoff = 17"),
        ({"preset": "papers"}, "preset = 'papers'"),
        ({"min_user": 0}, "min_user = 0"),
        ({"within": "../x"}, "within"),
        ({"minuser": 4}, "did you mean 'min_user'"),
    ],
)
def test_rules_that_cannot_be_are_refused(given, wrong):
    """The error names key and value; the exit code is 2."""
    with pytest.raises(RecipeError, match=wrong) as failed:
        parse_release(given)

    assert 2 == failed.value.exit_code


def test_a_preset_gives_way_to_what_is_given():
    """It fills in what is not said, and nothing else."""
    release = parse_release({"preset": "paper", "min_likes": 3, "users": 9})

    assert ("seed", 3, 5, 9) == (release.stage, release.min_likes, release.min_user, release.users)
    assert release == Release.model_validate(release.model_dump(mode="json"))


@pytest.mark.parametrize("cutoff", ["2022-09-13", "20220913", "2022-09-13T00:00Z", "2022-09-13T08:00+08:00"])
def test_a_cutoff_is_a_moment_in_utc(cutoff):
    """A day is its beginning; all ways to say a moment are one."""
    assert "2022-09-13T00:00:00+00:00" == parse_release({"cutoff": cutoff}).cutoff.isoformat()

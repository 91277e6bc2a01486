"""Subsets as their users type them, against what the sandbox knows to be true."""

import hashlib
from collections import Counter
from datetime import UTC, datetime

import pytest

from sandbox.truth import collect_frozen, expected_release
from tests.e2e.harness import Cli, read_back

RUN_SEED = 11


@pytest.fixture(scope="module")
def built(tmp_path_factory, frozen_site):
    """A finished run whose recipe has a release within another."""
    cli = Cli(tmp_path_factory.mktemp("subsets"))
    releases = [
        {"name": "paper", "preset": "paper", "min_likes": 15_000, "users": 40},
        {"name": "inside", "within": "paper", "users": 20, "k_core": 2},
    ]
    cli("run", cli.recipe(frozen_site.url, releases=releases))
    return cli


@pytest.fixture(scope="module")
def truth(built, frozen_site):
    """(raw user, video, time) of what a draw must give, worked out from the world."""
    world, run = frozen_site.world, built.open()
    crawl = collect_frozen(world, run_seed=RUN_SEED, target=40, stale_refreshes=4)
    pairs = expected_release(world, crawl.ids, min_user=1).interactions

    def draw(*, users, min_user=5, max_user=10**9, is_of_seeds=False, min_likes=0, cutoff_ms=2**60, seed=RUN_SEED):
        def is_in_pool(video):
            has_stage = not is_of_seeds or video in crawl.seeds
            return has_stage and world.videos.likes[world.index[video]] >= min_likes

        def place(raw):
            key = run.pseudonyms.user_key("sandbox", raw)
            if seed != RUN_SEED:
                return hashlib.sha256(f"{seed}:{key.hex()}".encode()).hexdigest(), key
            return key < hashlib.sha256(f"users from {seed}".encode()).digest()[: len(key)], key

        left = {pair for pair in pairs if is_in_pool(pair[1]) and pair[2] < cutoff_ms}
        counts = Counter(user for user, _, _ in left)
        eligible = sorted((user for user, n in counts.items() if min_user <= n <= max_user), key=place)
        drawn = set(eligible[:users])
        return {pair for pair in left if pair[0] in drawn}

    draw.pairs = pairs
    return draw


def published(built, frozen_site, name):
    return read_back(built.open(), name, frozen_site.world.user_ids)


def test_the_preset_draws_what_the_world_says(built, frozen_site, truth):
    """Seeds with the likes, users with five pairs among them, the first forty in their order: no pair more or less."""
    wanted = truth(users=40, is_of_seeds=True, min_likes=15_000)
    found = published(built, frozen_site, "paper")

    assert wanted == found.interactions
    assert {user for user, _, _ in wanted} == found.users
    assert {video for _, video, _ in wanted} == found.kept
    assert 40 == len(found.users)
    assert wanted != truth(users=40, is_of_seeds=True)
    assert wanted != truth(users=40, min_likes=15_000)


def test_a_release_of_the_recipe_lies_within_the_one_it_names(built, frozen_site):
    """Though it is cored, all that it has is in the other."""
    inside, paper = (published(built, frozen_site, name) for name in ("inside", "paper"))

    assert inside.interactions < paper.interactions
    assert 2 <= min(Counter(video for _, video, _ in inside.interactions).values())


def test_a_cutoff_leaves_out_what_came_later(built, frozen_site, truth):
    """Only comments before a day count, for who is eligible as for what is published; the other seed is the draw's."""
    times = sorted(at_ms for *_, at_ms in truth.pairs)
    day = datetime.fromtimestamp(times[len(times) // 2] / 1000, UTC).date()
    cutoff_ms = round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    asked = ("--users", 40, "--min-user", 3, "--max-user", 9, "--seed", 3, "--cutoff", day, "--name", "early")
    result = built.json("subset", *asked)
    wanted = truth(users=40, min_user=3, max_user=9, cutoff_ms=cutoff_ms, seed=3)

    assert wanted == published(built, frozen_site, "early").interactions
    assert 40 == result["counts"]["shape"]["users"]
    assert f"{day}T00:00:00Z" == result["counts"]["drawn"]["rules"]["--cutoff"]


def test_a_pool_is_the_first_of_the_crawl(built, frozen_site):
    """The items of a smaller pool are among those of a larger one."""
    for pool in (10, 25):
        built("subset", "--pool", pool, "--min-user", 1, "--name", f"pool-{pool}")
    few, many = (published(built, frozen_site, f"pool-{pool}") for pool in (10, 25))

    assert 10 == len(few.kept)
    assert few.kept < many.kept
    assert few.interactions < many.interactions


def test_the_shape_is_printed_beside_the_papers(built):
    """A table of the release and the nearest published one; the card has it as well."""
    out, _ = built("subset", "--users", "50", "--name", "shown")
    card = (built.folder / "runs/site/releases/shown/README.md").read_text()

    assert "MicroLens-50K" in out
    assert "359,708" in out
    for what in ("tail exponent, from 5", "Gini of item popularity", "users left in a 5-core"):
        (line,) = (line for line in out.splitlines() if what in line)
        assert f"| {what} | {line.split()[-2]} | {line.split()[-1]} |" in card


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--within", "papr"), 2, "did you mean 'paper'?"),
        (("--max-user", 4), 2, "nobody has 5 interactions or more"),
        (("--cutoff", "1999-01-01"), 2, "before the first comment"),
        (("--cutoff", "yesterday"), 2, "give a day (2022-09-13)"),
        (("--min-likes", 10**9), 2, "no item has --min-likes 1000000000"),
        (("--preset", "papers"), 2, "preset = 'papers'"),
        (("--name", "../x"), 2, "cannot be a release's name"),
        (("--users", 10**6, "--stage", "seed", "--strict"), 4, "within the pool"),
        (("--users", 10, "--k-core", 500, "--strict"), 4, "no user is left"),
    ],
)
def test_what_cannot_be_drawn_is_told(built, arguments, code, told):
    """Each mistake has its words and its exit code, and nothing is published."""
    _, err = built("subset", "--name", "wrong", *arguments, expect=code)

    assert told in err
    assert not (built.folder / "runs/site/releases/wrong").exists()

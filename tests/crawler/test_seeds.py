"""Seeds chosen from a whole site, against what the site knows of itself."""

from pathlib import Path

import pytest

from sandbox.process import SandboxSite
from sandbox.truth import SeedRule, collect_frozen

DESCRIBED = Path(__file__).parents[1] / "microlens" / "sandbox_html.yaml"


@pytest.fixture(scope="module")
def sandbox():
    with SandboxSite(videos=90, users=1500, seed=4, frozen=True) as site:
        yield site


@pytest.mark.parametrize(
    "rules",
    [
        {"min_interactions": 100},
        {"min_likes": -1, "languages": ["zh"]},
        {"min_likes": -1, "categories": ["a topic's word"], "languages": ["zh", "en"]},
    ],
)
def test_a_crawl_takes_the_seeds_that_the_site_knows(crawl, sandbox, rules):
    """Floors and lists select exactly the videos that the world says, and expansion goes on from those alone."""
    world = sandbox.world
    if "categories" in rules:
        rules = {**rules, "categories": sorted({world.videos.category(video) for video in range(0, 90, 9)})[:3]}
    rule = SeedRule(**{name: frozenset(v) if isinstance(v, list) else v for name, v in rules.items()})
    truth = collect_frozen(world, run_seed=3, target=1000, rule=rule, related_per_page=2, stale_refreshes=2)
    everything = collect_frozen(world, run_seed=3, target=1000, rule=SeedRule(-1), stale_refreshes=2)

    crawl(
        sandbox,
        seed=3,
        seeds={"target": 1000, "max_stale_refreshes": 2, **rules},
        expansion={"related_per_page": 2},
        politeness={"requests_per_second": 2000, "concurrency": 32},
    )

    places = crawl.look().places
    assert 0 < len(truth.seeds) < len(everything.seeds)
    assert set(truth.seeds) == {video for video, (stage, _) in places.items() if stage == "seed"}
    assert truth.related == {video for video, (stage, _) in places.items() if stage == "related"} - truth.gone


def test_a_site_without_a_word_for_machines_gives_the_same_crawl(crawl, sandbox):
    """Described in YAML by its HTML alone, the site's spelled counts and words select the same videos."""
    rules = {"min_interactions": 20, "languages": ["zh"]}
    truth = collect_frozen(
        sandbox.world,
        run_seed=3,
        target=1000,
        rule=SeedRule(10_000, 20, languages=frozenset(["zh"])),
        stale_refreshes=2,
    )

    crawl(
        sandbox,
        seed=3,
        platform="selectors",
        platform_file=str(DESCRIBED),
        seeds={"target": 1000, "max_stale_refreshes": 2, **rules},
        politeness={"requests_per_second": 2000, "concurrency": 32},
    )

    found = crawl.look()
    places = {video: stage for video, (stage, _) in found.places.items() if found.pages[video] is None}
    assert {**dict.fromkeys(truth.related, "related"), **dict.fromkeys(truth.seeds, "seed")} == places
    assert truth.seeds

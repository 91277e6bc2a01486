"""The plan of a crawl: the same end whatever the order of answers, and wherever it is torn down and built again."""

import hashlib
import random
import tracemalloc
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.plan import CrawlPlan, draw_related
from microlens.ledger_rows import Home, PageRow
from microlens.platforms import load_platform
from microlens.platforms.base import VideoLink
from microlens.recipe import Recipe

PLATFORM = load_platform("sandbox")
INSTANCES = ("http://one.test", "http://two.test")


@dataclass
class World:
    """A site as the plan can see it; a home page beyond the last list shows nothing new."""

    likes: dict
    related: dict
    homes: dict
    last_at: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    """More of what a page says: comment_count, category, language."""
    failures: dict = field(default_factory=dict)
    owners: dict = field(default_factory=dict)
    listed: dict = field(default_factory=dict)

    def link(self, video_id):
        return VideoLink(video_id, f"http://one.test/v/{video_id}", self.listed.get(video_id))

    def home(self, instance, refresh):
        rounds = self.homes[instance]
        shown = rounds[refresh] if refresh < len(rounds) else ()
        return Home(instance, refresh, tuple(map(self.link, shown)), refresh == self.last_at.get(instance))

    def page(self, video_id):
        if video_id in self.failures:
            return PageRow(video_id, "u", failure=self.failures[video_id])
        return PageRow(
            video_id,
            "u",
            title="t",
            like_count=self.likes.get(video_id),
            refusal=self.owners.get(video_id),
            related=tuple(map(self.link, self.related.get(video_id, ()))),
            **self.facts.get(video_id, {}),
        )


def world(likes, related=None, homes=(), **more):
    """One instance with these home pages."""
    return World(likes, related or {}, {INSTANCES[0]: list(homes)}, **more)


def recipe_of(site, *, target=100, min_likes=10, stale=2, depth=1, **seeds):
    return Recipe.model_validate(
        {
            "name": "plan",
            "platform": "sandbox",
            "instances": list(site.homes),
            "contact": "a@b.org",
            "seeds": {"target": target, "min_likes": min_likes, "max_stale_refreshes": stale, **seeds},
            "expansion": {"depth": depth},
        }
    )


class Crawl:
    """Runs a plan as the committer does, in any order, with a ledger that outlives it."""

    def __init__(self, site, recipe, *, seed=0, restart=0.0):
        self.site, self.recipe, self.random, self.restart = site, recipe, random.Random(seed), restart
        self.homes, self.pages, self.selected, self.asked, self.ready = [], {}, {}, [], []
        self.seeds = []
        self._begin()

    def _begin(self):
        self.plan, self.todo, self.ready = CrawlPlan(self.recipe, PLATFORM), [], []
        homes, pages = list(self.homes), list(self.pages.values())
        self.random.shuffle(homes)
        self.random.shuffle(pages)
        for home in homes:
            self.plan.add_home(home)
        for page in pages:
            self.plan.add_page(page)
        self._settle()

    def _settle(self):
        while True:
            step = self.plan.advance()
            if self.random.random() < self.restart / 4:
                # Killed before the step was committed.
                self._begin()
                return
            for page in step.refused:
                self.pages.setdefault(page.video_id, page)
            for row in step.selected:
                if row.video_id not in self.selected or row.depth < self.selected[row.video_id].depth:
                    self.selected[row.video_id] = row
                if row.stage == "seed" and row.video_id not in self.seeds:
                    self.seeds.append(row.video_id)
            self.todo += step.items
            self.ready += [page.video_id for page in step.ready]
            for video_id in step.recalled:
                self.plan.add_page(self.pages[video_id])
            if not step.refused and not step.selected and not step.recalled:
                return

    def run(self, limit=5000):
        while not self.plan.is_finished:
            limit -= 1
            assert limit, "the plan neither finishes nor asks for anything"
            item = self.todo.pop(self.random.randrange(len(self.todo)))
            if item.payload["page"] == "home":
                home = self.site.home(item.payload["instance"], item.payload["refresh"])
                self.homes.append(home)
                self.plan.add_home(home)
            else:
                self.asked.append(item.name)
                self.pages[item.name] = self.site.page(item.name)
                self.plan.add_page(self.pages[item.name])
            if self.random.random() < self.restart:
                self._begin()
            else:
                self._settle()
        return self

    def places(self):
        return {video_id: (row.stage, row.depth) for video_id, row in self.selected.items()}


def expected(site, recipe):
    """The rules read aloud, with nothing asynchronous: (seeds in order, places, pages asked for)."""
    seeds, asked = expected_seeds(site, recipe)
    places = dict.fromkeys(seeds, ("seed", 0))
    edge = seeds
    for depth in range(1, recipe.expansion.depth + 1):
        step = []
        for video_id in edge:
            page = site.page(video_id)
            followed = () if site.listed.get(video_id) or page.failure else page.related
            asked |= {link.video_id for link in followed if not site.listed.get(link.video_id)}
            step += [link.video_id for link in followed if link.video_id not in places]
            places = {**dict.fromkeys(step, ("related", depth)), **places}
        edge = step
    return seeds, places, asked


def expected_seeds(site, recipe):
    """(seeds in order, pages asked for because the home page shows them)."""
    seeds, seen, asked, stale, refresh = [], set(), set(), 0, 0
    alive = list(site.homes)
    while len(seeds) < recipe.seeds.target and stale < recipe.seeds.max_stale_refreshes and alive:
        homes = {name: site.home(name, refresh) for name in alive}
        fresh = list(dict.fromkeys(link.video_id for home in homes.values() for link in home.links))
        fresh = [video_id for video_id in fresh if video_id not in seen]
        seen |= set(fresh)
        stale = 0 if fresh else stale + 1
        for video_id in fresh:
            if site.listed.get(video_id):
                continue
            asked.add(video_id)
            page = site.page(video_id)
            is_good = page.failure is None and page.refusal is None
            if is_good and (page.like_count or 0) > recipe.seeds.min_likes and len(seeds) < recipe.seeds.target:
                seeds.append(video_id)
        alive = [name for name in alive if not homes[name].is_last]
        refresh += 1
    return seeds, asked


IDS = [f"v{number}" for number in range(12)]
some_ids = st.lists(st.sampled_from(IDS), max_size=6, unique=True)
reasons = st.sampled_from(["gone", "private", "sensitive"])


@st.composite
def worlds(draw):
    instances = draw(st.sampled_from([INSTANCES[:1], INSTANCES]))
    return World(
        likes=draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from([None, 0, 10, 11, 99]))),
        related={v: [r for r in draw(some_ids) if r != v] for v in IDS},
        homes={name: draw(st.lists(some_ids, max_size=5)) for name in instances},
        last_at={name: draw(st.none() | st.integers(0, 5)) for name in instances},
        failures=draw(st.dictionaries(st.sampled_from(IDS), reasons, max_size=3)),
        owners=draw(st.dictionaries(st.sampled_from(IDS), reasons, max_size=2)),
        listed=draw(st.dictionaries(st.sampled_from(IDS), reasons, max_size=2)),
    )


@given(
    site=worlds(),
    target=st.sampled_from([1, 2, 3, 5, 100]),
    stale=st.integers(1, 3),
    depth=st.integers(0, 2),
    seed=st.integers(0, 2**16),
    restart=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
@settings(max_examples=250, deadline=None)
def test_the_end_depends_on_neither_order_nor_restarts(site, target, stale, depth, *, seed, restart):
    """Selections and visited pages are those of the rules read aloud, wherever the plan is torn down."""
    recipe = recipe_of(site, target=target, stale=stale, depth=depth)
    seeds, places, asked = expected(site, recipe)

    crawl = Crawl(site, recipe, seed=seed, restart=restart).run()

    assert seeds == [v for v in crawl.seeds if v in seeds]
    assert places == crawl.places()
    assert asked == set(crawl.asked)
    assert len(crawl.asked) == len(set(crawl.asked))


@given(site=worlds(), depth=st.integers(0, 2), seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_media_are_handed_over_once_and_only_of_selected_pages(site, depth, seed):
    """Every selected page that can be read is ready exactly once."""
    crawl = Crawl(site, recipe_of(site, depth=depth), seed=seed).run()
    readable = {v for v in crawl.selected if crawl.pages[v].failure is None}

    assert readable == set(crawl.ready)
    assert len(crawl.ready) == len(readable)


def test_seeds_come_in_the_order_of_rounds_then_links():
    """The target cuts the last round: its surplus is visited and is no seed."""
    site = world(dict.fromkeys("abcdef", 50), homes=[["b", "a"], ["a", "f", "d", "c", "e"]])

    crawl = Crawl(site, recipe_of(site, target=4), seed=3).run()

    assert ["b", "a", "f", "d"] == crawl.seeds
    assert set("abcdef") == set(crawl.asked)
    assert set("bafd") == set(crawl.selected)


def test_a_seed_has_more_likes_than_the_minimum():
    """The minimum itself is not enough, and neither is an unknown count."""
    site = world({"a": 9, "b": 10, "c": 11, "d": None}, homes=[["a", "b", "c", "d"]])

    assert ["c"] == Crawl(site, recipe_of(site, min_likes=10)).run().seeds
    assert ["a", "b", "c", "d"] == Crawl(site, recipe_of(site, min_likes=-1)).run().seeds


def test_a_seed_has_more_comments_than_the_minimum_and_is_of_the_kinds_asked_for():
    """The site's own count and words decide; a page that does not tell is of no use where they are asked for."""
    facts = {
        "a": {"comment_count": 101, "category": "Music", "language": "zh-Hans"},
        "b": {"comment_count": 100, "category": "music", "language": "en"},
        "c": {"category": "Films", "language": "zh"},
        "d": {"comment_count": 500},
    }
    site = world(dict.fromkeys("abcd", 50), {"a": ["d"]}, homes=[list("abcd")], facts=facts)

    def seeds(**rules):
        return Crawl(site, recipe_of(site, **rules)).run().seeds

    assert list("abcd") == seeds()
    assert ["a", "d"] == seeds(min_interactions=100)
    assert ["a", "b"] == seeds(categories=["MUSIC"])
    assert ["a", "c"] == seeds(languages=["zh"])
    assert ["b"] == seeds(languages=["en", "fr"], categories=["Music"])
    assert [] == seeds(languages=["zh-Hant"])


def test_a_related_video_may_be_of_any_kind():
    """Lists and minimums are for seeds: the paper's expansion takes whatever the pages link to."""
    site = world({"a": 50}, {"a": ["b"]}, homes=[["a"]], facts={"a": {"comment_count": 200, "language": "zh"}})

    crawl = Crawl(site, recipe_of(site, min_interactions=100, languages=["zh"])).run()

    assert {"a": ("seed", 0), "b": ("related", 1)} == crawl.places()


def test_stale_refreshes_end_the_home_page():
    """Only refreshes in a row count: an unseen video begins the count anew."""
    site = world({}, homes=[["a"], ["a"], ["a", "b"], ["b"], ["a"], ["c"]])

    crawl = Crawl(site, recipe_of(site, stale=2)).run()

    assert {"a", "b"} == set(crawl.asked)
    assert [0, 1, 2, 3, 4] == sorted(home.refresh for home in crawl.homes)


def test_a_last_page_ends_its_instance_alone():
    """An instance that has no more is not asked again; the others go on."""
    site = World(
        likes=dict.fromkeys("abcd", 50),
        related={},
        homes={INSTANCES[0]: [["a"], ["x"]], INSTANCES[1]: [["b"], ["c"], ["d"]]},
        last_at={INSTANCES[0]: 0, INSTANCES[1]: 2},
    )

    crawl = Crawl(site, recipe_of(site, stale=9)).run()

    assert ["a", "b", "c", "d"] == crawl.seeds
    asked = {(home.instance, home.refresh) for home in crawl.homes}
    assert {(INSTANCES[0], 0), *((INSTANCES[1], refresh) for refresh in range(3))} == asked


def test_a_link_that_is_refused_is_never_visited():
    """What the list itself forbids becomes a failed row without a request."""
    site = world({"a": 50}, {"a": ["r"]}, homes=[["a", "h"]], listed={"h": "sensitive", "r": "sensitive"})

    crawl = Crawl(site, recipe_of(site)).run()

    assert ["a"] == crawl.asked
    assert "sensitive" == crawl.pages["h"].failure
    assert "sensitive" == crawl.pages["r"].failure
    assert {"a": ("seed", 0), "r": ("related", 1)} == crawl.places()


def test_depth_says_how_far_links_are_followed():
    """0 follows none, 1 those of seeds, 2 those of related videos too."""
    site = world({"a": 50}, {"a": ["b"], "b": ["c"], "c": ["d"]}, homes=[["a"]])
    visited = {depth: set(Crawl(site, recipe_of(site, depth=depth)).run().asked) for depth in (0, 1, 2)}

    assert {0: {"a"}, 1: {"a", "b"}, 2: {"a", "b", "c"}} == visited


def test_a_video_takes_the_nearest_of_its_places():
    """A related video that the home page shows later is a seed, and its links count from there."""
    site = world({"a": 50, "b": 50}, {"a": ["b"], "b": ["c"]}, homes=[["a"], ["b"]])

    crawl = Crawl(site, recipe_of(site)).run()

    assert {"a": ("seed", 0), "b": ("seed", 0), "c": ("related", 1)} == crawl.places()


def test_related_lists_are_asked_for_only_where_they_are_followed():
    """At depth 1 the links of an unpopular page lead nowhere."""
    site = world({})
    plans = {depth: CrawlPlan(recipe_of(site, depth=depth), PLATFORM) for depth in (0, 1, 2)}

    assert [False, False, True] == [plans[depth].needs_related(PageRow("v", "u", like_count=10)) for depth in (0, 1, 2)]
    assert [False, True, True] == [plans[depth].needs_related(PageRow("v", "u", like_count=11)) for depth in (0, 1, 2)]


@given(
    links=st.lists(st.sampled_from(IDS), max_size=20),
    run_seed=st.integers(0, 99),
    count=st.integers(0, 12),
    shuffle=st.randoms(use_true_random=False),
)
def test_links_are_drawn_by_their_hash(links, run_seed, count, shuffle):
    """The smallest sha256(run seed, page, link) win; order and repetition count nothing, the page itself is out."""
    page = "v3"

    def place(video_id):
        return hashlib.sha256(f"{run_seed}\n{page}\n{video_id}".encode()).hexdigest()

    wanted = sorted({link for link in links if link != page}, key=place)[:count]
    shuffle.shuffle(links)

    drawn = draw_related(run_seed, page, [VideoLink(link, f"http://one.test/v/{link}") for link in links], count)

    assert wanted == [link.video_id for link in drawn]


def test_a_page_costs_little_memory():
    """Of its links and files the plan keeps nothing: millions of pages fit where their rows would not."""
    links = [VideoLink(f"r{number}", f"http://one.test/v/r{number}" + "x" * 60) for number in range(10)]
    site = world({}, homes=[[f"v{number}" for number in range(5_000)]])
    plan = CrawlPlan(recipe_of(site, stale=1), PLATFORM)
    plan.add_home(site.home(INSTANCES[0], 0))
    plan.add_home(site.home(INSTANCES[0], 1))
    plan.advance()
    tracemalloc.start()
    for number in range(5_000):
        plan.add_page(PageRow(f"v{number}", "u" * 80, title="t" * 80, like_count=99, related=tuple(links)))
        plan.advance()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert plan.is_finished is False
    assert 5_000 * 600 > kept

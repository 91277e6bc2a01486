"""What the spider makes of single answers: errors of our own, and the lists of related videos."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from scrapy.exceptions import DownloadCancelledError, DownloadTimeoutError
from scrapy.http import Response

from crawler.answers import refused_by
from crawler.middlewares.robots import ForbiddenByRobotsError
from crawler.pump import Pump
from crawler.spiders.videos import VideoSpider
from crawler.visits import fitted, home_row, page_row, video_record, video_table
from microlens.errors import PageChangedError, RedisUnreachableError
from microlens.frontier import Claim, host_of
from microlens.platforms.base import HomePage, ParsedVideo, VideoLink
from microlens.privacy import Pseudonymiser
from microlens.recipe import Media, Recipe
from microlens.records import Caption, FrontierItem, MediaLink

SITE, LIST = "http://one.test", "http://lists.test/of/v"
RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "platform": "sandbox",
        "instances": [SITE],
        "contact": "owner@example.org",
        "politeness": {"max_attempts": 2},
    }
)
VIDEO = ParsedVideo("v", f"{SITE}/v", "t", related_url=LIST)
LINK = VideoLink("w", f"{SITE}/w")
CAPTION = Caption("en", f"{SITE}/en.vtt")
REDIS_AHEAD_MS = 3_600_000


class Desk:
    """A spider among stand-ins that note what it asks of them; `answer` is the list's."""

    def __init__(
        self,
        *,
        folder=Path("/nowhere"),
        recipe=RECIPE,
        answer=None,
        parse_video=lambda _: VIDEO,
        parse_related=lambda _: (LINK,),
    ):
        self.outcomes, self.rested, self.asked = [], [], []
        self.is_hosts_fault, self.waits, self.pace_s = False, [], 1.0
        self.answer = answer
        self.changed = []
        run = SimpleNamespace(recipe=recipe, folder=folder, pseudonyms=Pseudonymiser(b"k" * 32))
        frontier = SimpleNamespace(
            take=lambda _: self.waits.pop(0) if self.waits else 0.0,
            pace_s=lambda _: self.pace_s,
        )
        hosts = SimpleNamespace(
            take_in=lambda _: None,
            now_ms=lambda: time.time_ns() // 1_000_000 + REDIS_AHEAD_MS,
            is_news=lambda _: False,
            answered=lambda _: None,
            silent=lambda url, *, sent_ms: self.is_hosts_fault,
            refused=lambda url, _, *, sent_ms, retry_after_s: self.rested.append(
                (host_of(url), sent_ms, retry_after_s)
            ),
        )
        committer = SimpleNamespace(needs_related=lambda _: True, needs_captions=True)
        platform = SimpleNamespace(
            name="sandbox", parse_video=parse_video, parse_related=parse_related, parse_captions=lambda _: (CAPTION,)
        )
        self.spider = VideoSpider(run=run, platform=platform, frontier=frontier, hosts=hosts, committer=committer)
        self.spider._changed = SimpleNamespace(count_read=lambda: None, count_changed=self.changed.append)
        self.spider._pump.finished = self.outcomes.append
        engine = SimpleNamespace(download_async=self._download, crawl=lambda _: None)
        self.spider.crawler = SimpleNamespace(engine=engine)

    async def _download(self, request):
        self.asked.append(request.url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def error(self):
        return self.spider._pump._error

    def parse(self, attempt=0):
        """Have a video's page read that answers with 200."""
        item = FrontierItem("page", "v", f"{SITE}/v", {"page": "video", "video_id": "v"}, attempt=attempt)
        sent_ms = time.time_ns() // 1_000_000 + REDIS_AHEAD_MS
        self.spider._begin(Claim(items=(item,), robots=(), troubled=frozenset(), wait_s=0.0, at_ms=sent_ms))
        asyncio.run(self.spider.parse(Response(item.url, body=b"x"), item, sent_ms))
        return self

    @property
    def pages(self):
        return [(outcome.page, outcome.record) for outcome in self.outcomes if outcome.page]

    @property
    def retried(self):
        return [outcome.item for outcome in self.outcomes if outcome.is_again]

    @property
    def given_back(self):
        return [(outcome.item, outcome.rest_s) for outcome in self.outcomes if outcome.rest_s is not None]

    @property
    def reasons(self):
        failures = [failure for outcome in self.outcomes for failure in outcome.failures]
        return [(failure.url, failure.reason, failure.is_final) for failure in failures]


def answer(status, **headers):
    return Response(LIST, status=status, body=b"x", headers=headers)


def raising(error):
    def parse(_):
        raise error

    return parse


# --- where a federated video is read ---


def test_a_federated_video_is_read_where_it_comes_from_if_the_recipe_names_that():
    """Else where it was first seen; in the ledger a link has one address."""
    recipe = RECIPE.model_copy(update={"instances": ("https://one.test", "https://Two.test:443")})
    links = [
        VideoLink("a", "https://one.test/a", origin_url="https://two.test/a"),
        VideoLink("b", "https://one.test/b", origin_url="https://three.test/b"),
        VideoLink("c", "https://one.test/c"),
    ]
    item = FrontierItem("page", "home", SITE, {"page": "home", "instance": SITE, "refresh": 0})
    item_v = FrontierItem("page", "v", SITE, {"page": "video", "video_id": "v"})
    read = {VideoLink("a", "https://two.test/a"), *(VideoLink(v, f"https://one.test/{v}") for v in "bc")}

    assert read == set(home_row(item, HomePage(tuple(links)), recipe).links)
    assert read == set(page_row(item_v, VIDEO, links, recipe).related)


# --- captions ---


def test_captions_are_asked_for_only_where_the_recipe_wants_them():
    """Without the key nobody asks, and nobody knows: null, not none."""
    video = replace(VIDEO, related_url=None, captions_url=f"{SITE}/c")
    wanted = RECIPE.model_copy(update={"media": Media(captions=True)})
    silent = Desk(parse_video=lambda _: video).parse()
    asking = Desk(parse_video=lambda _: video, answer=answer(200), recipe=wanted).parse()
    refused = Desk(parse_video=lambda _: replace(video, refusal="sensitive"), recipe=wanted).parse()
    missing = Desk(parse_video=lambda _: video, answer=answer(404), recipe=wanted).parse()

    assert [None, (CAPTION,), None, None] == [desk.pages[0][1].captions for desk in (silent, asking, refused, missing)]
    assert [[], [f"{SITE}/c"], [], [f"{SITE}/c"]] == [desk.asked for desk in (silent, asking, refused, missing)]
    assert [(f"{SITE}/c", "gone", True)] == missing.reasons


# --- lists of related videos ---


def test_a_file_under_two_spellings_is_one():
    """Tracking, fragment and the host's case make no second file; the first spelling is what is fetched."""
    urls = ["https://Cdn.test/v.mp4?a=1&utm_source=x", "https://cdn.test:443/v.mp4?a=1#t", "https://cdn.test/v.mp4?a=2"]
    media = tuple(MediaLink("video", url) for url in urls)

    found = fitted(replace(VIDEO, media=(*media, MediaLink("cover", urls[1])))).media

    assert [urls[0], urls[2], urls[1]] == [link.url for link in found]


def test_a_list_that_answers_gives_the_links():
    """The row holds what the list shows."""
    desk = Desk(answer=answer(200)).parse()

    assert (LINK,) == desk.pages[0][0].related
    assert [] == desk.reasons


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (answer(401), "private"),
        (answer(403), "private"),
        (answer(404), "gone"),
        (ForbiddenByRobotsError(LIST, "robots"), "robots"),
        (ForbiddenByRobotsError(LIST, "robots_unreachable"), "robots_unreachable"),
    ],
)
def test_a_list_that_is_refused_for_good_costs_its_links_alone(told, reason):
    """The video is committed without links, and the list's URL is in the ledger with its reason."""
    desk = Desk(answer=told).parse()
    [(row, record)] = desk.pages

    assert ((), None, "v") == (row.related, row.failure, record.video_id)
    assert [(LIST, reason, True)] == desk.reasons
    assert [] == desk.retried


def test_a_list_whose_shape_changed_costs_its_links_alone(tmp_path):
    """It is counted among the changed pages, and its video is kept."""
    error = PageChangedError("no links", hint="mend it")
    desk = Desk(folder=tmp_path, answer=answer(200), parse_related=raising(error)).parse()

    assert "v" == desk.pages[0][1].video_id
    assert [(LIST, "page_changed", True)] == desk.reasons
    assert [error] == desk.changed


def test_a_list_whose_shape_changed_is_kept_as_a_sample(tmp_path):
    """The error that counts says where the shape of the answer lies."""
    desk = Desk(folder=tmp_path, answer=answer(200), parse_related=raising(PageChangedError("no links", hint="mend")))
    desk.parse()

    [path] = (tmp_path / "samples").iterdir()
    assert path.name.startswith("related-")
    assert str(path) in desk.changed[0].hint


def test_a_list_that_is_busy_rests_its_own_host_and_the_page_comes_again():
    """The rest counts from the time when the list was asked for, on Redis's clock."""
    before_ms = time.time_ns() // 1_000_000 + REDIS_AHEAD_MS
    desk = Desk(answer=answer(429, **{"Retry-After": "7"})).parse()
    [(host, sent_ms, wait_s)] = desk.rested

    assert ("http://lists.test", 7.0) == (host, wait_s)
    assert before_ms - 1 <= sent_ms <= before_ms + 5_000
    assert [(LIST, "rate_limited", False)] == desk.reasons
    assert (1, []) == (len(desk.retried), desk.pages)


@pytest.mark.parametrize(("pace_s", "links", "rests"), [(0.01, [], [0.02]), (0.05, [LINK], [])])
def test_a_host_that_rests_is_left_and_a_slow_one_is_waited_for(monkeypatch, pace_s, links, rests):
    """Given back for the pace that its host has after every request, a page would never be done."""
    monkeypatch.setattr("crawler.courtesy._PATIENCE_S", 0.005)
    desk = Desk(answer=answer(200))
    desk.waits, desk.pace_s = [0.02], pace_s
    desk.parse()

    assert links == [link for row, _ in desk.pages for link in row.related]
    assert rests == [rest_s for _, rest_s in desk.given_back]


def test_a_redirects_target_is_told_that_it_was_busy():
    """The page's own host did nothing wrong."""
    desk = Desk()
    item = FrontierItem("page", "v", f"{SITE}/v", {"page": "video", "video_id": "v"})
    asyncio.run(desk.spider.parse(Response("http://other.test/v", status=429), item, 5))

    assert ["http://other.test"] == [host for host, *_ in desk.rested]


def test_a_list_that_stays_busy_costs_its_links_alone():
    """With the page's last try its video is committed all the same."""
    desk = Desk(answer=DownloadTimeoutError()).parse(attempt=1)

    assert "v" == desk.pages[0][1].video_id
    assert [(LIST, "timeout", True)] == desk.reasons


# --- errors ---


def test_a_bug_costs_the_page_that_brings_it_out():
    """It is tried again, then given up with a reason; the crawl goes on."""
    first = Desk(parse_video=raising(ZeroDivisionError())).parse()
    last = Desk(parse_video=raising(ZeroDivisionError())).parse(attempt=1)

    assert ([(f"{SITE}/v", "crawler_error", False)], 1, []) == (first.reasons, len(first.retried), first.pages)
    assert ([(f"{SITE}/v", "crawler_error", True)], []) == (last.reasons, last.retried)
    assert "crawler_error" == last.pages[0][0].failure
    assert (None, None) == (first.error, last.error)


def test_a_lost_redis_stops_the_crawl():
    """It is no page's fault, wherever it shows."""
    error = RedisUnreachableError("gone", hint="start it")

    assert error is Desk(parse_video=raising(error)).parse().error
    assert error is Desk(answer=error).parse().error


def test_an_answer_that_is_too_large_is_not_asked_for_again():
    """It would be as large the next time."""
    refusal = refused_by(DownloadCancelledError()).refusal

    assert ("too_large", True) == (refusal.reason, refusal.is_final)


def test_an_address_that_is_none_costs_its_page_alone():
    """It is given up with its reason, and what was claimed with it is fetched."""
    desk = Desk()
    asked = []
    desk.spider.crawler.engine.crawl = lambda request: asked.append(request.url)
    bad, good = (
        FrontierItem("page", name, url, {"page": "video", "video_id": name})
        for name, url in (("bad", "http://one.test:99999999/v"), ("good", f"{SITE}/good"))
    )

    async def work():
        desk.spider._loop = asyncio.get_running_loop()
        desk.spider._begin(Claim(items=(bad, good), robots=(), troubled=frozenset(), wait_s=0.0, at_ms=5))
        await asyncio.gather(*desk.spider._tasks)

    asyncio.run(work())

    assert [f"{SITE}/good"] == asked
    assert ["bad_address"] == [row.failure for row, _ in desk.pages]


# --- numbers ---


def test_numbers_that_no_column_holds_are_left_out():
    """The record can be written; what fits stays."""
    media = (MediaLink("video", "u", 1 << 31, 1 << 63), MediaLink("video", "w", 720, 5))
    video = ParsedVideo("v", "u", "t", like_count=10**30, view_count=7, comment_count=-(10**30), media=media)
    record = video_record("sandbox", fitted(video), Pseudonymiser(b"k" * 32))
    [row] = video_table([record]).to_pylist()

    assert (None, 7, None) == (row["like_count"], row["view_count"], row["comment_count"])
    assert [(None, None), (720, 5)] == [(link["height"], link["size_bytes"]) for link in row["media"]]


# --- the pump ---


def test_leases_are_renewed_and_progress_shown_while_a_commit_lasts(monkeypatch):
    """A slow disk loses no lease of the batch being committed, and the display does not stand still."""
    monkeypatch.setattr("crawler.pump._RENEW_S", 0.05)
    monkeypatch.setattr("crawler.pump._TICK_S", 0.05)
    renewed, ticks, during = [], [], []

    def commit():
        time.sleep(0.5)
        during.append((len(renewed), len(ticks)))

    committer = SimpleNamespace(
        restore=lambda: None,
        follow=lambda: None,
        is_due=lambda *, is_starving: True,
        commit=commit,
        commit_homes=lambda: None,
        pending=0,
        held=["read"],
        kind="page",
        is_finished=True,
        wanted=0,
    )
    frontier = SimpleNamespace(renew=lambda _, names: renewed.append(names))
    Pump(frontier, committer, None, on_tick=lambda: ticks.append(1)).run()

    assert min(during[0]) >= 3
    assert ["read"] == renewed[-1]

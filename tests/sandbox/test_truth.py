"""The truth about a crawl and a release, held against the site itself."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import flaws, truth
from sandbox.media import plan
from sandbox.world import WorldConfig, generate

WORLD = generate(WorldConfig(videos=60, users=200, seed=11))


def links(answer, kind):
    return re.findall(rf'<a class="{kind}" href="/v/([a-z0-9]+)"', answer.text)


def likes(answer):
    """Read by hand: 12345, "12,345", "12.3K", "1.2万" or Arabic digits, which `int` takes as they are."""
    written = re.search(r'LikeAction", "userInteractionCount": "?([^"}]+)', answer.text)[1]
    number, unit = re.fullmatch(r"(.*?)([KM万]?)", re.sub("[,\N{ARABIC THOUSANDS SEPARATOR}]", "", written)).groups()
    return int(Decimal(number) * {"": 1, "K": 1_000, "M": 1_000_000, "万": 10_000}[unit])


def crawl_over_http(fetch, url, run_seed, target, depth):
    """A crawler as plain as can be: no truth, no world, only pages."""
    pages, seeds, refresh, stale = {}, [], 0, 0

    def visit(video_id):
        if video_id not in pages:
            answer = fetch(f"{url}/v/{video_id}")
            pages[video_id] = answer if answer.status == 200 else None
        return pages[video_id]

    while len(seeds) < target and stale < 5:
        fresh = [v for v in links(fetch(f"{url}/?refresh={refresh}"), "video") if v not in pages]
        seeds += [v for v in fresh if visit(v) and likes(pages[v]) > 10_000]
        refresh, stale = refresh + 1, 0 if fresh else stale + 1
    seeds, related = seeds[:target], set()
    level = seeds
    for _ in range(depth):
        chosen = set()
        for page in level:
            found = links(visit(page), "related")
            chosen |= set(
                sorted(found, key=lambda v: hashlib.sha256(f"{run_seed}\n{page}\n{v}".encode()).hexdigest())[:10]
            )
        level = [v for v in chosen - related - set(seeds) if visit(v)]
        related |= set(level)
    return seeds, related, {v for v, answer in pages.items() if answer is None}


@pytest.mark.parametrize(("target", "depth"), [(8, 1), (15, 2), (1000, 0)])
def test_a_plain_crawler_finds_the_same(site, fetch, target, depth):
    """A crawl over HTTP collects what the truth says, in the same order of seeds."""
    seeds, related, gone = crawl_over_http(fetch, site.url, 5, target, depth)
    expected = truth.collect_frozen(site.world, run_seed=5, target=target, depth=depth)

    assert (seeds, related, gone) == (expected.seeds, expected.related, expected.gone)


def test_a_release_read_over_http_is_the_same(site, fetch):
    """First comments read from the API, page by page, are the truth's interactions."""
    collected = truth.collect_frozen(site.world, run_seed=5, target=20).ids
    expected = truth.expected_release(site.world, collected, min_user=2)
    first = {}
    for video_id in sorted(expected.kept):
        cursor = ""
        while cursor is not None:
            address = f"{site.url}/api/videos/{video_id}/comments?limit=100" + (cursor and f"&cursor={cursor}")
            page = json.loads(fetch(address).body)
            for comment in page["comments"]:
                first[comment["user"]["id"], video_id] = comment["created_at_ms"]
            cursor = page["next"]
    counts = Counter(user for user, _ in first)

    assert {(u, v, t) for (u, v), t in first.items() if counts[u] >= 2} == expected.interactions


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 60), st.integers(0, 9_999), st.integers(0, 12), st.integers(0, 2))
def test_a_collection_is_consistent(run_seed, target, min_likes, per_page, depth):
    """Seeds are popular, found once and at most as many as asked for; the four groups do not overlap."""
    found = truth.collect_frozen(
        WORLD, run_seed=run_seed, target=target, rule=truth.SeedRule(min_likes), related_per_page=per_page, depth=depth
    )
    groups = [set(found.seeds), found.related, found.unpopular, found.gone]

    assert len(found.seeds) == len(set(found.seeds)) <= target
    assert all(WORLD.videos.likes[WORLD.index[video_id]] > min_likes for video_id in found.seeds)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert all(
        (WORLD.videos.flaws.kind[v] == flaws.DELETED) == (v_id in found.gone)
        for v_id in set.union(*groups)
        for v in [WORLD.index[v_id]]
    )
    assert found.related == set() or (per_page and depth)


def test_exactly_ten_thousand_likes_are_too_few(demo):
    """A video of exactly 10,000 likes is never a seed."""
    found = truth.collect_frozen(demo, run_seed=1, target=1000, depth=0)
    at_threshold = {demo.videos.ids[v] for v in range(300) if demo.videos.likes[v] == 10_000}

    assert at_threshold
    assert not at_threshold & set(found.seeds)
    assert len(found.seeds) > 150


def test_fates_are_the_flaws(demo):
    """If everything is collected, each flaw is a fate and all other videos are kept."""
    fate = truth.fates(demo)

    assert [fate[video_id] for video_id in demo.videos.ids] == [kind or "kept" for kind in demo.videos.flaws.kind]


def test_a_copy_survives_without_its_original(demo):
    """A duplicate whose original was not collected is kept."""
    copy = demo.videos.flaws.kind.index(flaws.DUPLICATE)
    original = int(demo.videos.flaws.source[copy])
    alone, both = (
        truth.expected_release(demo, {demo.videos.ids[v] for v in videos}) for videos in ([copy], [copy, original])
    )

    assert alone.kept == {demo.videos.ids[copy]}
    assert both.kept == {demo.videos.ids[original]}
    assert both.dropped == {demo.videos.ids[copy]: "duplicate_video"}


def test_of_those_that_show_the_same_scenes_the_most_liked_survives(demo):
    """A near copy falls to its original; without it, it stays."""
    near = demo.videos.flaws.kind.index(flaws.NEAR)
    original = int(demo.videos.flaws.scenes[near])
    alone, both = (
        truth.expected_release(demo, {demo.videos.ids[v] for v in videos}) for videos in ([near], [near, original])
    )

    assert alone.kept == {demo.videos.ids[near]}
    assert both.kept == {demo.videos.ids[original]}
    assert both.dropped == {demo.videos.ids[near]: "near_duplicate_video"}


def test_borrowed_encodings_are_told_apart_by_their_bytes_alone():
    """Where clips are borrowed all look alike, so the truth is that of a recipe without near-duplicates."""
    world = generate(WorldConfig(videos=100, users=10, seed=3, media_variety=3))
    fate = truth.fates(world)

    assert flaws.NEAR in world.videos.flaws.kind
    assert flaws.NEAR not in fate.values()


def test_clips_of_one_world_are_different_files_unless_one_is_a_copy_of_the_other():
    """Whatever is borrowed, a clip's bytes are its own: near copies made of one borrowed encoding, too."""
    world = generate(WorldConfig(videos=2_000, users=10, seed=5, media_variety=3))
    shown = {}
    for video, source in enumerate(world.videos.flaws.source.tolist()):
        made_of = replace(plan(world, video), clip_key="", cover_key="", cover_topic=0, flat_share=0.0)
        shown.setdefault(made_of, set()).add(source)

    assert {1} == {len(sources) for sources in shown.values()}


def test_of_two_copies_the_most_liked_survives(demo):
    """Of the copies of one original that was not collected only the most liked is kept."""
    copies = {}
    for video, kind in enumerate(demo.videos.flaws.kind):
        if kind == flaws.DUPLICATE:
            copies.setdefault(int(demo.videos.flaws.source[video]), []).append(video)
    pair = next(group for group in copies.values() if len(group) > 1)
    release = truth.expected_release(demo, {demo.videos.ids[v] for v in pair})

    assert release.kept == {demo.videos.ids[max(pair, key=lambda v: demo.videos.likes[v])]}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(WORLD.videos.ids)), st.integers(1, 6), st.integers(1, 60))
def test_a_release_is_consistent(collected, min_user, max_comments):
    """Kept and dropped are the collected; each user has enough pairs, each pair once, each time a comment's."""
    release = truth.expected_release(WORLD, collected, min_user=min_user, max_comments=max_comments)
    counts = Counter(user for user, _, _ in release.interactions)
    videos, comments = WORLD.videos.ids, WORLD.comments
    real = {
        (WORLD.user_ids[u], videos[v], t)
        for u, v, t in zip(comments.user.tolist(), comments.video.tolist(), comments.created_ms.tolist(), strict=True)
    }

    assert release.kept | release.dropped.keys() == collected
    assert not release.kept & release.dropped.keys()
    assert release.observed <= release.kept
    assert set(counts) == release.users
    assert all(count >= min_user for count in counts.values())
    assert len({(user, video) for user, video, _ in release.interactions}) == len(release.interactions)
    assert release.interactions <= real
    assert max(Counter(video for _, video, _ in release.interactions).values(), default=0) <= max_comments


def test_only_the_newest_comments_are_seen(demo):
    """With a cap, a user's first comment among a video's newest ones counts."""
    collected = set(demo.videos.ids)
    capped, whole = (truth.expected_release(demo, collected, max_comments=m, min_user=1) for m in (10, 5000))

    assert capped.kept == whole.kept
    assert len(capped.interactions) < len(whole.interactions)
    assert {(user, video) for user, video, _ in capped.interactions} <= {(u, v) for u, v, _ in whole.interactions}


def test_the_first_of_two_comments_counts(demo):
    """A user who comments twice on a video has one interaction, at the earlier time."""
    pairs = list(zip(demo.comments.user.tolist(), demo.comments.video.tolist(), strict=True))
    doubled = {pair for pair, count in Counter(pairs).items() if count > 1}
    times = {}
    for (user, video), created_ms in zip(pairs, demo.comments.created_ms.tolist(), strict=True):
        times.setdefault((demo.user_ids[user], demo.videos.ids[video]), []).append(created_ms)
    release = truth.expected_release(demo, set(demo.videos.ids), min_user=1)
    shown = {(u, v): t for u, v, t in release.interactions}
    wanted = {(demo.user_ids[u], demo.videos.ids[v]) for u, v in doubled} & shown.keys()

    assert len(wanted) > 100
    assert all(shown[pair] == min(times[pair]) for pair in wanted)


def test_the_log_tells_what_was_collected():
    """Videos whose cover was asked for are collected, whatever else was asked."""
    requests = {"/": 3, "/media/va/cover.jpg": 1, "/media/vb/video.mp4": 1, "/v/vc": 2, "/media/vd/cover.jpg": 2}

    assert truth.collected_from_log(requests) == {"va", "vd"}

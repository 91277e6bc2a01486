"""One world on several hosts: each video lives on one, and links lead from one to another."""

import json
import re
from collections import Counter

import pytest

from sandbox import flaws, truth
from sandbox.process import SandboxSite
from sandbox.world import WorldConfig, generate

HOSTS = 4


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    options = {"hosts": HOSTS, "with_media": 40, "media_variety": 3}
    with SandboxSite(videos=120, users=200, seed=6, frozen=True, media_dir=folder, **options) as running:
        yield running


def links(answer, kind):
    return re.findall(rf'<a class="{kind}" href="([^"]+)"', answer.text)


def url_of(site, video):
    return f"{site.urls[site.world.host[video]]}/v/{site.world.videos.ids[video]}"


def live_videos(world):
    return [video for video, kind in enumerate(world.videos.flaws.kind) if kind != flaws.DELETED]


def test_videos_are_dealt_evenly():
    """Every host has its share of the videos, and one host has all."""
    world, alone = (generate(WorldConfig(videos=122, users=10, hosts=hosts)) for hosts in (HOSTS, 1))

    assert {30, 31} == set(Counter(world.host.tolist()).values())
    assert {0} == set(alone.host.tolist())
    assert world.videos.ids == alone.videos.ids


def test_a_home_page_shows_its_own_hosts_videos(many, fetch):
    """Whatever the refresh, a host's home page links videos that live there."""
    for number, url in enumerate(many.urls):
        shown = links(fetch(f"{url}/?refresh=3"), "video")

        assert len(shown) == 24
        assert all(link.startswith(f"{url}/v/") for link in shown)
        assert {number} == {int(many.world.host[many.world.index[link.rpartition("/")[2]]]) for link in shown}


def test_related_links_lead_across_hosts(many, fetch):
    """A page's related links are absolute, name the host where each video lives, and together lead to all hosts."""
    video = live_videos(many.world)[0]
    related = links(fetch(url_of(many, video)), "related")

    assert {url_of(many, many.world.index[link.rpartition("/")[2]]) for link in related} == set(related)
    assert set(many.urls) == {link.rpartition("/v/")[0] for link in related}


def test_a_video_is_only_at_its_host(many, fetch):
    """Page, comments and media answer 404 at any other host."""
    video = next(video for video in live_videos(many.world) if many.world.has_media[video])
    name, home = many.world.videos.ids[video], int(many.world.host[video])
    for path in (f"/v/{name}", f"/api/videos/{name}/comments", f"/media/{name}/cover.jpg"):
        statuses = [fetch(url + path).status for url in many.urls]

        assert [200 if host == home else 404 for host in range(HOSTS)] == statuses


def test_so_many_videos_carry_media(many, fetch):
    """The asked number of videos have files; the others' pages name none and their addresses answer 404."""
    world = many.world
    bare = next(video for video in live_videos(world) if not world.has_media[video])
    answer = fetch(url_of(many, bare))

    assert world.has_media.sum() == 40
    assert "thumbnailUrl" not in answer.text
    assert "<video" not in answer.text
    assert fetch(f"{many.urls[world.host[bare]]}/media/{world.videos.ids[bare]}/cover.jpg").status == 404


def test_copies_carry_media_with_their_originals():
    """A duplicate has media if and only if its original has, but for the last that the number cuts off."""
    world = generate(WorldConfig(videos=300, users=10, with_media=60))
    copies = [v for v, kind in enumerate(world.videos.flaws.kind) if kind == flaws.DUPLICATE]
    split = [v for v in copies if world.has_media[v] != world.has_media[world.videos.flaws.source[v]]]

    assert copies
    assert len(split) <= 1


def test_borrowed_encodings_are_clips_of_their_own(many, fetch):
    """Few encodings are made, and still each original clip differs, while its copies have its bytes."""
    world = many.world
    clips = {
        video: fetch(f"{many.urls[world.host[video]]}/media/{world.videos.ids[video]}/video.mp4").body
        for video in live_videos(world)
        if world.has_media[video]
    }
    sources = {int(world.videos.flaws.source[video]) for video in clips}
    small = {video for video in clips if world.videos.flaws.kind[video] == flaws.SMALL}

    assert len(set(clips.values())) == len(sources)
    assert len({clip[:5000] for clip in clips.values()}) <= 3 + len(small) + 2
    assert all((len(clip) < 100_000) == (video in small) for video, clip in clips.items())


def test_fates_without_media():
    """Whatever has no media is dropped for its cover, unless it is gone or its title is too short."""
    world = generate(WorldConfig(videos=300, users=10, with_media=60))
    fate = truth.fates(world)
    bare = [fate[world.videos.ids[v]] for v in range(300) if not world.has_media[v]]

    assert {"cover_missing", "gone", "title_too_short"} == set(bare)
    assert "cover_missing" not in [fate[world.videos.ids[v]] for v in range(300) if world.has_media[v]]


def test_a_plain_crawl_of_all_home_pages_finds_the_truths_seeds(many, fetch):
    """Refresh by refresh, host by host, the popular videos come in the order that the truth tells."""
    popular, seen = [], set()
    for refresh in range(3):
        for url in many.urls:
            for link in links(fetch(f"{url}/?refresh={refresh}"), "video"):
                answer = fetch(link)
                if link not in seen and answer.status == 200:
                    name = json.loads(re.search(r'ld\+json">(.*?)</script>', answer.text)[1])["identifier"]
                    likes = many.world.videos.likes[many.world.index[name]]
                    popular += [name] if likes > flaws.POPULAR_LIKES else []
                seen.add(link)
    found = truth.collect_frozen(many.world, run_seed=1, target=30).seeds

    assert popular[:30] == found

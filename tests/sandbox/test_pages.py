"""What a browser and a crawler see."""

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime
from html import unescape

from sandbox import flaws
from sandbox.spellings import Spelling, spell
from sandbox.truth import fates
from sandbox.videos import DAY_MS

LINK = re.compile(r'<a class="(video|related)" href="/v/([a-z0-9]+)">([^<]*)</a>')


def links(answer, kind):
    return [video_id for its, video_id, _ in LINK.findall(answer.text) if its == kind]


def linked_data(answer):
    return json.loads(re.search(r'<script type="application/ld\+json">(.*?)</script>', answer.text)[1])


def page(fetch, site, video_id):
    return fetch(f"{site.url}/v/{video_id}")


def test_home_has_24_links_with_titles(site, fetch):
    """The home page links 24 different videos by their escaped titles."""
    answer = fetch(f"{site.url}/?refresh=0")
    found = {video_id: unescape(title) for _, video_id, title in LINK.findall(answer.text)}

    assert len(found) == 24
    assert found == {video_id: site.world.videos.titles[site.world.index[video_id]] for video_id in found}


def test_frozen_home_depends_on_the_refresh_alone(site, fetch):
    """Asked twice, a frozen refresh shows the same page; another refresh shows another."""
    first, again, other = (fetch(f"{site.url}/?refresh={n}") for n in (8, 8, 9))

    assert first.body == again.body
    assert links(first, "video") != links(other, "video")


def test_live_home_changes_with_every_visit(live_site, fetch):
    """On the live site one address shows another page each time."""
    first, again = (links(fetch(f"{live_site.url}/?refresh=1"), "video") for _ in range(2))

    assert first != again


def test_home_shows_every_video_in_the_end(site, fetch):
    """After some hundred refreshes every video was on the home page, popular ones more often."""
    shown = Counter(video_id for n in range(150) for video_id in links(fetch(f"{site.url}/?refresh={n}"), "video"))
    by_appeal = sorted(site.world.videos.ids, key=lambda video_id: site.world.videos.appeal[site.world.index[video_id]])

    assert set(shown) == set(site.world.videos.ids)
    assert sum(shown[v] for v in by_appeal[-20:]) > 1.5 * sum(shown[v] for v in by_appeal[:20])


def test_a_page_describes_its_video(site, fetch, plain_id):
    """The JSON-LD of a page holds the world's facts under schema.org's names, with absolute addresses."""
    videos, video = site.world.videos, site.world.index[plain_id]
    data = linked_data(page(fetch, site, plain_id))
    counters = {
        c["interactionType"].rpartition("/")[2]: c["userInteractionCount"] for c in data["interactionStatistic"]
    }
    comment_count = len(site.world.comments.of_video(video))

    assert data["@type"] == "VideoObject"
    assert (data["identifier"], data["url"]) == (plain_id, f"{site.url}/v/{plain_id}")
    assert (data["name"], tuple(data["keywords"])) == (videos.titles[video], videos.tags[video])
    assert data["genre"] == videos.category(video)
    assert data["inLanguage"] == videos.languages[video]
    assert datetime.fromisoformat(data["uploadDate"]).timestamp() * 1000 == videos.published_ms[video]
    assert datetime.fromisoformat(data["uploadDate"]).tzinfo == UTC
    assert abs(float(data["duration"].removeprefix("PT").removesuffix("S")) - videos.duration_s(video)) < 0.06
    assert data["thumbnailUrl"] == f"{site.url}/media/{plain_id}/cover.jpg"
    assert data["contentUrl"] == f"{site.url}/media/{plain_id}/video.mp4"
    assert data["audio"]["contentUrl"] == f"{site.url}/media/{plain_id}/audio.m4a"
    assert data["author"]["identifier"] == videos.authors[video]
    counts = (int(videos.likes[video]), int(videos.views[video]), comment_count)
    likes, views, comments = (spell(count, videos.spelling[video]) for count in counts)
    assert data["commentCount"] == comments
    assert counters == {"LikeAction": likes, "WatchAction": views, "CommentAction": comments}


def shown_date(answer):
    return re.search(r"<time>([^<]*)</time>", answer.text)[1]


def with_spelling(site, spelling):
    """A living video that writes its counts so."""
    fate = fates(site.world)
    names = zip(site.world.videos.ids, site.world.videos.spelling, strict=True)
    return next(video_id for video_id, its in names if its is spelling and fate[video_id] != "gone")


def test_dates_are_written_in_other_ways_too(site, live_site, fetch):
    """As 2024年5月6日, and on the live site, which has a clock, as days ago; always the day of the video."""
    chinese, short = (with_spelling(site, its) for its in (Spelling.MYRIAD, Spelling.SHORT))
    ago = with_spelling(live_site, Spelling.SHORT)
    published = {v: its.world.videos.published_ms[its.world.index[v]] for its, v in [(site, chinese), (live_site, ago)]}
    day = datetime.fromtimestamp(published[chinese] / 1000, UTC)
    age_ms = time.time_ns() // 1_000_000 - published[ago]

    assert f"{day.year}年{day.month}月{day.day}日" == shown_date(page(fetch, site, chinese))
    assert shown_date(page(fetch, site, short)).endswith("Z")
    assert shown_date(page(fetch, live_site, ago)) in {f"{age_ms // DAY_MS - one} days ago" for one in (0, 1)}


def test_addresses_follow_the_host(site, fetch, plain_id):
    """Absolute addresses are built from the host that was asked."""
    data = linked_data(fetch(f"{site.url}/v/{plain_id}", Host="videos.example:81"))

    assert data["contentUrl"] == f"http://videos.example:81/media/{plain_id}/video.mp4"


def test_hostile_titles_stay_text(site, fetch):
    """A title with markup neither ends the JSON-LD nor becomes an element, and is read back whole."""
    for video in site.world.videos.flaws.hostile_title:
        answer = page(fetch, site, site.world.videos.ids[video])

        assert linked_data(answer)["name"] == site.world.videos.titles[video]
        assert answer.text.count("</script>") == 1
        assert "<b>" not in answer.text
        assert "<img" not in answer.text


def test_related_links_lead_to_other_videos(site, fetch, plain_id):
    """A page links 24 different other videos, the topic's own among them more than by chance."""
    world, related = site.world, links(page(fetch, site, plain_id), "related")
    topics = [world.videos.topic[world.index[video_id]] for video_id in related]

    assert len(set(related)) == 24
    assert plain_id not in related
    assert topics.count(world.videos.topic[world.index[plain_id]]) >= 5


def test_related_links_change_on_the_live_site_only(site, live_site, fetch, plain_id):
    """Visited twice, a frozen page has the same related links and a live page has others."""
    shown = next(v for v, fate in fates(live_site.world).items() if fate == "kept")
    frozen = [links(page(fetch, site, plain_id), "related") for _ in range(2)]
    live = [links(page(fetch, live_site, shown), "related") for _ in range(2)]

    assert frozen[0] == frozen[1]
    assert live[0] != live[1]


def test_deleted_videos_are_gone(site, fetch):
    """A deleted video's page answers 404 or 410, its comments 404 and its files neither."""
    world = site.world
    deleted = [world.videos.ids[v] for v, kind in enumerate(world.videos.flaws.kind) if kind == flaws.DELETED]

    assert deleted
    for video_id in deleted:
        assert page(fetch, site, video_id).status in {404, 410}
        assert fetch(f"{site.url}/api/videos/{video_id}/comments").status == 404
        assert fetch(f"{site.url}/media/{video_id}/cover.jpg").status in {404, 410}


def test_unknown_addresses_are_not_found(site, fetch):
    """Unknown videos, files and pages answer 404 under the site's name."""
    for path in ("/v/nobody", "/media/nobody/cover.jpg", "/api/videos/nobody/comments", "/nowhere"):
        answer = fetch(site.url + path)

        assert (answer.status, answer.headers["Server"]) == (404, "microlens-sandbox")


def test_robots_disallow_the_log(site, live_site, fetch):
    """robots.txt keeps crawlers out of /admin/ and names a delay only where one was asked for."""
    slow, fast = (fetch(f"{its.url}/robots.txt").text for its in (site, live_site))

    assert slow == "User-agent: *\nDisallow: /admin/\nCrawl-delay: 0.25\n"
    assert fast == "User-agent: *\nDisallow: /admin/\n"


def test_the_log_counts_by_path(site, fetch):
    """The log counts every path without its query, and leaves itself out."""
    before = site.log().get("/robots.txt", 0)
    for query in ("", "?a=1", "?a=2"):
        fetch(f"{site.url}/robots.txt{query}")
    after = site.log()

    assert after["/robots.txt"] == before + 3
    assert "/admin/log" not in after

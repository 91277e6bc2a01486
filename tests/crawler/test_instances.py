"""Two instances of one kind of site in one recipe."""

import yaml

from tests.crawler.site import Video, comment

DESCRIBED = {
    "id_pattern": "/v/([^/?#]+)",
    "home": {"url": "{instance}/?refresh={refresh}", "links": "a.video"},
    "related": {"links": "a.related"},
    "comments": {
        "url": "{origin}/api/videos/{video_id}/comments",
        "rows": "$.comments",
        "id": "$.id",
        "user_id": "$.user.id",
        "text": "$.text",
        "at": "$.created_at_ms",
    },
}


def crawl_both(crawl, site, **described):
    (crawl.folder / "site.yaml").write_text(yaml.safe_dump({**DESCRIBED, **described}))
    site.videos = {"1": Video(related=("2",)), "2": Video(likes=1)}
    site.homes = [["1"]]
    site.comments = {"1": [comment(1, "7")]}
    crawl(
        site,
        platform="selectors",
        platform_file="site.yaml",
        instances=[site.url, site.other_url],
        network={"allow": ["127.0.0.0/8"]},
    )
    return crawl.look().places


def test_one_number_on_two_instances_is_two_videos(crawl, site):
    """Each is fetched from its own host, and the related videos of each are its own."""
    one, two = (f"127.0.0.{host}:{site.port}" for host in (1, 2))

    places = crawl_both(crawl, site)

    assert {
        f"{host}/{number}": place
        for host in (one, two)
        for number, place in {"1": ("seed", 0), "2": ("related", 1)}.items()
    } == places
    assert [1] * 4 == [site.count(f"127.0.0.{host}")[f"/v/{number}"] for host in (1, 2) for number in (1, 2)]


def test_ids_that_are_the_same_everywhere_are_one_video(crawl, site):
    """Where the platform file says so, a video is read once, on the first instance in the recipe's order."""
    places = crawl_both(crawl, site, has_global_ids=True)

    assert {"1": ("seed", 0), "2": ("related", 1)} == places
    assert [1, 1, 0, 0] == [site.count(f"127.0.0.{host}")[f"/v/{number}"] for host in (1, 2) for number in (1, 2)]

"""Many instances that number their videos and users each for itself."""

import pytest

from microlens.platforms import platform_of
from microlens.platforms.base import Page
from microlens.platforms.instance_ids import InstanceIds
from microlens.platforms.selectors import SelectorsPlatform
from microlens.recipe import Recipe

A, B = "https://a.test", "https://B.test:8443"
SITE = {
    "id_pattern": "/v/([0-9]+)",
    "home": {"url": "{instance}/", "links": "a"},
    "video": {"title": "h1", "author_id": "i"},
    "related": {"links": "a"},
    "comments": {
        "url": "{origin}/c/{video_id}",
        "rows": "$.rows",
        "id": "$.id",
        "user_id": "$.by",
        "text": "$.text",
        "at": "$.at",
    },
}
PLATFORM = InstanceIds(SelectorsPlatform(SITE))


def recipe(*instances, platform="selectors", **site):
    keys = {"name": "r", "platform": platform, "instances": instances, "contact": "a@b.org"}
    described = {"platform_file": "site.yaml", "platform_options": {**SITE, **site}}
    return Recipe.model_validate(keys | (described if platform == "selectors" else {}))


def test_one_number_on_two_instances_is_two_videos():
    """A video has the same id wherever a link to it stands, and another on another instance."""
    links = b'<a href="/v/17">x</a><a href="https://b.test:8443/v/17">x</a>'
    here, there = PLATFORM.parse_home(Page(f"{A}/", links)).links
    there_too = PLATFORM.parse_related(Page(f"{B}/v/1", b'<a href="/v/17">x</a>'))

    assert ["a.test/17", "b.test:8443/17", "b.test:8443/17"] == [link.video_id for link in (here, there, *there_too)]
    assert f"{A}/v/17" == here.url


def test_a_page_has_the_id_of_the_links_to_it():
    """Its author is the instance's, and so are its related videos."""
    video = PLATFORM.parse_video(Page(f"{B}/v/17", b'<h1>T</h1><i>7</i><a href="/v/18">x</a>'))
    nobody = PLATFORM.parse_video(Page(f"{A}/v/17", b"<h1>T</h1>"))

    assert ("b.test:8443/17", "b.test:8443/7") == (video.video_id, video.author_id)
    assert ["b.test:8443/18"] == [link.video_id for link in video.related]
    assert ("a.test/17", None) == (nobody.video_id, nobody.author_id)


def test_users_and_comments_are_the_instances_too():
    """User 7 of one instance is not user 7 of the other; the address asked for has the site's own id."""
    url = PLATFORM.comments_url(f"{A}/v/17", "a.test/17")
    body = b'{"rows": [{"id": 1, "by": 7, "text": "t", "at": 1772366400}]}'
    users = [PLATFORM.parse_comments(Page(f"{origin}/c/17", body)).comments[0] for origin in (A, B)]

    assert f"{A}/c/17" == url
    assert [("a.test/1", "a.test/7"), ("b.test:8443/1", "b.test:8443/7")] == [
        (comment.comment_id, comment.user_id) for comment in users
    ]


@pytest.mark.parametrize(
    ("made_for", "is_prefixed"),
    [
        (recipe(A), False),
        (recipe(A, B), True),
        (recipe(A, B, has_global_ids=True), False),
        (recipe(A, B, platform="peertube"), False),
        (recipe(A, B, platform="sandbox"), False),
    ],
)
def test_only_several_instances_with_ids_of_their_own_get_a_prefix(made_for, is_prefixed):
    """One instance needs none, and a federation's ids are the same everywhere."""
    assert is_prefixed is isinstance(platform_of(made_for), InstanceIds)

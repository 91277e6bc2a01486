"""The sandbox adapter on pages written by hand; that it reads the real sandbox is the end-to-end test's claim."""

import json

import pytest

from microlens.errors import PageChangedError
from microlens.platforms.base import Page, ParsedComment, VideoLink
from microlens.platforms.sandbox import SandboxPlatform
from microlens.records import MediaLink

SITE = "http://127.0.0.1:8000"
PLATFORM = SandboxPlatform()
VIDEO = {
    "@type": "VideoObject",
    "identifier": "k7f3",
    "url": f"{SITE}/v/k7f3",
    "name": "Cats & <dogs>",
    "keywords": ["cats", "dogs"],
    "genre": "pets",
    "inLanguage": "en",
    "uploadDate": "2026-03-01T12:00:00.250Z",
    "duration": "PT1M2.5S",
    "thumbnailUrl": "/media/k7f3/cover.jpg",
    "contentUrl": f"{SITE}/media/k7f3/video.mp4",
    "audio": {"@type": "AudioObject", "contentUrl": f"{SITE}/media/k7f3/audio.m4a"},
    "author": {"@type": "Person", "identifier": "u9"},
    "interactionStatistic": [
        {"interactionType": {"@type": "LikeAction"}, "userInteractionCount": 12},
        {"interactionType": "https://schema.org/WatchAction", "userInteractionCount": 345},
        {"interactionType": "CommentAction", "userInteractionCount": "6"},
    ],
}


def video_page(related="", **changes):
    video = {key: value for key, value in (VIDEO | changes).items() if value is not None}
    body = f'<html><script type="application/ld+json">{json.dumps(video)}</script>{related}</html>'
    return Page(f"{SITE}/v/k7f3", body.encode())


def comments_page(answer, query="?limit=100"):
    return Page(f"{SITE}/api/videos/k7f3/comments{query}", json.dumps(answer).encode())


def test_a_home_page_yields_its_videos_once_each():
    """Links of class `video` are taken, made absolute, in the page's order; others are not."""
    body = '<a class="video" href="/v/b">B</a><a href="/v/x">X</a><a class="video" href="/v/a">A</a>' * 2

    home = PLATFORM.parse_home(Page(PLATFORM.home_url(f"{SITE}/", 3), body.encode()))

    assert home.links == (VideoLink("b", f"{SITE}/v/b"), VideoLink("a", f"{SITE}/v/a"))
    assert not home.is_last
    assert PLATFORM.home_url(f"{SITE}/", 3) == f"{SITE}/?refresh=3"


def test_a_link_under_two_spellings_is_one():
    """Tracking parameters and fragments make no second link; the first spelling is what is fetched."""
    body = '<a class="video" href="/v/b?utm_source=feed">B</a><a class="video" href="/v/b#play">B</a>'

    home = PLATFORM.parse_home(Page(f"{SITE}/", body.encode()))

    assert home.links == (VideoLink("b", f"{SITE}/v/b?utm_source=feed"),)


@pytest.mark.parametrize("body", [b"", b"<p>Log in</p>", b'<a class="video" href="/watch/1">x</a>', b"\xff\x00"])
def test_a_home_page_without_videos_is_a_changed_page(body):
    """An empty crawl is never taken for a finished one."""
    with pytest.raises(PageChangedError):
        PLATFORM.parse_home(Page(f"{SITE}/?refresh=0", body))


def test_every_field_of_a_video_is_read():
    """Counters are recognised in all three spellings of schema.org; relative addresses become absolute."""
    video = PLATFORM.parse_video(video_page('<a class="related" href="/v/zz">next</a>'))

    assert video.video_id == "k7f3"
    assert video.page_url == f"{SITE}/v/k7f3"
    assert video.title == "Cats & <dogs>"
    assert video.tags == ("cats", "dogs")
    assert (video.category, video.language) == ("pets", "en")
    assert video.published_at_ms == 1_772_366_400_250
    assert video.duration_s == 62.5
    assert (video.like_count, video.view_count, video.comment_count) == (12, 345, 6)
    assert video.author_id == "u9"
    assert video.media == (
        MediaLink("cover", f"{SITE}/media/k7f3/cover.jpg"),
        MediaLink("audio", f"{SITE}/media/k7f3/audio.m4a"),
        MediaLink("video", f"{SITE}/media/k7f3/video.mp4"),
    )
    assert video.related == (VideoLink("zz", f"{SITE}/v/zz"),)
    assert video.related == PLATFORM.parse_related(video_page('<a class="related" href="/v/zz">next</a>'))


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("1.2万", 12_000),
        ("12.3K", 12_300),
        ("1,234", 1_234),
        ("\u0661\u066c\u0662\u0663\u0664", 1_234),
        (1_234, 1_234),
        ("many", None),
        (-1, None),
    ],
)
def test_a_count_is_read_in_every_spelling(said, count):
    """Units, groups and other digits; what is no count is none."""
    counters = [{"interactionType": "LikeAction", "userInteractionCount": said}]

    assert count == PLATFORM.parse_video(video_page(interactionStatistic=counters)).like_count


@pytest.mark.parametrize("field", ["identifier", "url", "name"])
def test_a_missing_mandatory_field_names_itself(field):
    """The error says which field is gone and what the page has instead."""
    with pytest.raises(PageChangedError, match=f"'{field}'.*'keywords'"):
        PLATFORM.parse_video(video_page(**{field: None}))


@pytest.mark.parametrize("field", sorted(VIDEO.keys() - {"@type", "identifier", "url", "name"}))
@pytest.mark.parametrize("value", [None, 17, "", [], {"a": 1}, [None]])
def test_an_optional_field_may_be_anything(field, value):
    """A video is not lost over a field that it can do without."""
    assert PLATFORM.parse_video(video_page(**{field: value})).video_id == "k7f3"


def test_a_page_without_a_video_object_is_a_changed_page():
    """Other JSON-LD blocks on the page are no video, and broken JSON is an error of ours."""
    for block in ('{"@type": "BreadcrumbList"}', '{"@type": ', "[1]", ""):
        page = Page(f"{SITE}/v/k7f3", f'<script type="application/ld+json">{block}</script>'.encode())
        with pytest.raises(PageChangedError):
            PLATFORM.parse_video(page)


def test_comments_and_the_next_page_are_read():
    """A gender is kept where there is one; the cursor is quoted into the next address."""
    rows = [
        {"id": "c2", "user": {"id": "u1", "name": "A", "gender": "female"}, "text": "你好\n", "created_at_ms": 2000},
        {"id": "c1", "user": {"id": 7, "name": "B"}, "text": "", "created_at_ms": 1000},
    ]

    page = PLATFORM.parse_comments(comments_page({"comments": rows, "next": "a&b"}, "?limit=100&cursor=x"))

    assert page.comments == (
        ParsedComment("c2", "u1", "你好\n", 2000, "female"),
        ParsedComment("c1", "7", "", 1000, None),
    )
    assert page.next_urls == (f"{SITE}/api/videos/k7f3/comments?limit=100&cursor=a%26b",)


def test_the_last_page_of_comments_names_no_other():
    """`next: null` ends a video's comments."""
    page = PLATFORM.parse_comments(comments_page({"comments": [], "next": None}))

    assert page.comments == ()
    assert page.next_urls == ()
    assert PLATFORM.comments_url(f"{SITE}/v/a?x=1", "a/b") == f"{SITE}/api/videos/a%2Fb/comments?limit=100"


@pytest.mark.parametrize("missing", ["id", "user", "text", "created_at_ms"])
def test_a_comment_that_lacks_a_field_is_a_changed_page(missing):
    """Who said what and when is mandatory: a guess would be a false interaction."""
    row = {"id": "c", "user": {"id": "u"}, "text": "t", "created_at_ms": 1}
    del row[missing]

    with pytest.raises(PageChangedError):
        PLATFORM.parse_comments(comments_page({"comments": [row], "next": None}))

"""The selectors adapter on pages of four shapes: the sandbox, a recorded PeerTube, class names only, a JSON API."""

import contextlib
import json
import re
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from microlens.errors import PageChangedError, RecipeError
from microlens.platforms import load_platform
from microlens.platforms.base import CommentPage, HomePage, Page, ParsedComment, ParsedVideo, VideoLink
from microlens.platforms.sandbox import SandboxPlatform
from microlens.platforms.selectors import SelectorsPlatform
from microlens.platforms.site_file import check_site, read_site
from microlens.records import MediaLink
from sandbox.process import SandboxSite
from sandbox.spellings import Spelling

TESTS = Path(__file__).parents[2]
PAGES = TESTS / "fixtures/pages"
SANDBOX_FILE = TESTS / "microlens/sandbox_site.yaml"
PEERTUBE = TESTS.parents[1] / "shared/real-platform/peertube/site"
NOW_MS = 1_800_000_000_000
SITE = "https://site.test"
API = "https://api.test"
LEAST = {
    "id_pattern": "/v/([0-9]+)",
    "home": {"url": "{instance}/", "links": "a"},
    "comments": {"url": "{origin}/c", "rows": "li", "id": "b", "user_id": "i", "text": "p", "at": "time"},
}


def platform_of(path, **changes):
    return SelectorsPlatform({**read_site(path), **changes}, clock=lambda: NOW_MS)


@pytest.fixture(scope="module")
def sandbox():
    with SandboxSite(videos=30, users=2000, seed=1, frozen=True) as site:
        yield site


@pytest.fixture(scope="module")
def classes():
    return platform_of(PAGES / "classes.yaml")


@pytest.fixture(scope="module")
def api():
    return platform_of(PAGES / "api.yaml")


def fetch(url):
    """The page, or None where the video is gone."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return Page(url, answer.read())
    except urllib.error.HTTPError as error:
        error.close()
        return None


def saved(name, url):
    return Page(url, (PAGES / name).read_bytes())


# --- the sandbox ---


def test_a_file_of_nineteen_lines_reads_the_sandbox_as_its_own_adapter_does(sandbox):
    """Home page, every video and every page of comments give the same facts through YAML as through Python."""
    described, coded = platform_of(SANDBOX_FILE), SandboxPlatform()
    url = coded.home_url(sandbox.url, 1)
    home = fetch(url)
    videos = [page for link in coded.parse_home(home).links if (page := fetch(link.url))]
    pending = [coded.comments_url(page.url, coded.parse_video(page).video_id) for page in videos]
    answers = []
    while pending:
        answers.append(fetch(pending.pop()))
        pending += coded.parse_comments(answers[-1]).next_urls

    assert url == described.home_url(sandbox.url, 1)
    assert coded.parse_home(home) == described.parse_home(home)
    assert [coded.parse_video(page) for page in videos] == [described.parse_video(page) for page in videos]
    assert [coded.parse_related(page) for page in videos] == [described.parse_related(page) for page in videos]
    assert coded.comments_url(videos[0].url, "a/b") == described.comments_url(videos[0].url, "a/b")
    assert coded.newest_first is described.newest_first is True
    assert [coded.parse_comments(page) for page in answers] == [described.parse_comments(page) for page in answers]
    assert len(answers) > len(videos) > 5


def test_the_sandboxs_html_is_read_by_selectors_alone(sandbox):
    """Without its JSON-LD a page gives the same facts: counts in all spellings, dates, words, files."""
    described, coded = platform_of(TESTS / "microlens/sandbox_html.yaml"), SandboxPlatform()
    links = {
        link for refresh in range(6) for link in coded.parse_home(fetch(coded.home_url(sandbox.url, refresh))).links
    }
    pages = [page for link in links if (page := fetch(link.url))]
    bare = [replace(page, body=re.sub(rb"<script.*?</script>", b"", page.body)) for page in pages]
    by_id = {video.video_id: video for video in map(coded.parse_video, pages)}

    read = [described.parse_video(page) for page in bare]

    assert {video.video_id for video in read} == set(by_id)
    assert [shown(by_id[video.video_id], sandbox.world) for video in read] == read
    assert set(sandbox.world.videos.spelling) == {
        sandbox.world.videos.spelling[sandbox.world.index[video_id]] for video_id in by_id
    }


def shown(video, world):
    """What the HTML shows of a video: titles without doubled spaces, no sound, some dates without their hour."""
    is_day = world.videos.spelling[world.index[video.video_id]] is Spelling.MYRIAD
    published_ms = video.published_at_ms - video.published_at_ms % 86_400_000 if is_day else video.published_at_ms
    media = tuple(link for link in video.media if link.kind != "audio")
    return replace(video, title=" ".join(video.title.split()), published_at_ms=published_ms, media=media)


# --- a real site's own words for machines ---


def test_a_recorded_peertube_page_is_read_without_a_selector():
    """JSON-LD gives nearly all; the player's page that OpenGraph calls a video is not taken for a file."""
    if not (PEERTUBE / "index.json").exists():
        pytest.skip(f"no recording of PeerTube in {PEERTUBE}")
    index = json.loads((PEERTUBE / "index.json").read_text(encoding="utf-8"))
    entry = next(row for row in index if row["url"].endswith("/w/r8MH7DWZtuNAMP7ruScgFg"))
    page = Page(entry["url"], (PEERTUBE / "bodies" / entry["body"]).read_bytes())

    video = SelectorsPlatform({**LEAST, "id_pattern": "/w/([^/?#]+)"}).parse_video(page)

    assert ("r8MH7DWZtuNAMP7ruScgFg", entry["url"]) == (video.video_id, video.page_url)
    assert "Archery practice at the range" == video.title
    assert (("archery", "outdoor", "sport"), "en") == (video.tags, video.language)
    assert (1_795_291_888_336, 10.0) == (video.published_at_ms, video.duration_s)
    assert (15, 79) == (video.like_count, video.view_count)
    assert "http://localhost:9000/c/user01_channel" == video.author_id
    assert ["cover"] == [link.kind for link in video.media]


def test_open_graph_is_enough_where_there_is_no_json_ld():
    """Title, cover, length, file and date come from `meta`; a file counts as one by its type."""
    metas = {
        "og:title": "Cats &amp; dogs",
        "og:image": "/c.jpg",
        "og:video": "/v.mp4",
        "og:video:type": "video/mp4",
        "video:duration": "62",
        "video:release_date": "2026-03-01",
    }
    body = "".join(f'<meta property="{name}" content="{value}">' for name, value in metas.items())

    video = SelectorsPlatform(LEAST).parse_video(Page(f"{SITE}/v/5", body.encode()))

    assert ("5", "Cats & dogs", f"{SITE}/v/5") == (video.video_id, video.title, video.page_url)
    assert (62.0, 1_772_323_200_000) == (video.duration_s, video.published_at_ms)
    assert (MediaLink("cover", f"{SITE}/c.jpg"), MediaLink("video", f"{SITE}/v.mp4")) == video.media


@pytest.mark.parametrize(
    ("rule", "told", "found"),
    [
        ({}, {"encodingFormat": "application/vnd.apple.mpegurl"}, "hls"),
        ({}, {"encodingFormat": "Application/X-MPEGURL"}, "hls"),
        ({}, {"encodingFormat": "video/mp4"}, "file"),
        ({}, {}, "file"),
        ({"video": {"url": "video::attr(src)", "format": "hls"}}, {}, "hls"),
        ({"video": {"rows": "video", "url": "./@src", "format": "hls"}}, {}, "hls"),
        ({"video": "video::attr(src)"}, {"encodingFormat": "application/vnd.apple.mpegurl"}, "file"),
    ],
)
def test_a_playlist_is_told_as_such(rule, told, found):
    """The file says it, or the page's own VideoObject does."""
    block = {"@type": "VideoObject", "name": "T", "contentUrl": "/m.m3u8", **told}
    body = f'<script type="application/ld+json">{json.dumps(block)}</script><video src="/m.m3u8"></video>'
    rules = LEAST | ({"video": rule} if rule else {})

    video = SelectorsPlatform(rules).parse_video(Page(f"{SITE}/v/5", body.encode()))

    assert (MediaLink("video", f"{SITE}/m.m3u8", format=found),) == video.media


@pytest.mark.parametrize(
    "block",
    [
        {"@graph": [{"@type": "WebPage"}, {"@type": ["Thing", "VideoObject"], "name": "T"}]},
        [{"@type": "BreadcrumbList"}, {"@type": "VideoObject", "name": "T"}],
        {"@type": "WebPage", "mainEntity": {"@type": "VideoObject", "name": "T"}},
    ],
)
def test_a_video_object_is_found_wherever_it_stands(block):
    """In a graph, in a list, as a page's main entity; a broken block before it is passed over."""
    body = (
        f'<script type="application/ld+json">{{</script><script type="application/ld+json">{json.dumps(block)}</script>'
    )

    assert "T" == SelectorsPlatform(LEAST).parse_video(Page(f"{SITE}/v/5", body.encode())).title


def test_a_video_that_is_not_for_families_is_sensitive():
    """`isFamilyFriendly: false` is a refusal without a rule of ours."""
    block = {"@type": "VideoObject", "name": "T", "isFamilyFriendly": False}
    body = f'<script type="application/ld+json">{json.dumps(block)}</script>'

    assert "sensitive" == SelectorsPlatform(LEAST).parse_video(Page(f"{SITE}/v/5", body.encode())).refusal


# --- class names and Chinese counts ---


def test_a_page_of_class_names_is_read_by_selectors(classes):
    """Counts in 万 and 亿, a length as a clock, a moment hours ago, renditions with their heights."""
    video = classes.parse_video(saved("classes.html", f"{SITE}/shipin/1001"))

    assert ("1001", "街头滑板少年 第一集", f"{SITE}/shipin/1001") == (video.video_id, video.title, video.page_url)
    assert (12_000, 340_000_000, 5_678) == (video.like_count, video.view_count, video.comment_count)
    assert (("滑板", "街头"), "zh", "77") == (video.tags, video.language, video.author_id)
    assert (NOW_MS - 3 * 3_600_000, 83.0) == (video.published_at_ms, video.duration_s)
    assert video.refusal is None
    assert video.media == (
        MediaLink("cover", f"{SITE}/img/1001.jpg"),
        MediaLink("video", "https://cdn.site.test/1001-480.mp4", 480),
        MediaLink("video", "https://cdn.site.test/1001-1080.mp4", 1080),
    )


def test_what_is_no_video_is_no_link(classes):
    """An advertisement and a script among the related links are passed over."""
    related = classes.parse_video(saved("classes.html", f"{SITE}/shipin/1001")).related

    assert (VideoLink("1002", f"{SITE}/shipin/1002"), VideoLink("1003", f"{SITE}/shipin/1003?x=1")) == related


@pytest.mark.parametrize(
    ("element", "word"),
    [
        ('<i class="no-download"></i>', "download_disabled"),
        ('<p class="warning">成人内容</p>', "sensitive"),
        ('<p class="warning">小心</p>', None),
    ],
)
def test_a_refusal_is_an_element_or_a_text(classes, element, word):
    """A rule without a pattern wants the element, one with a pattern wants the text to match."""
    page = saved("classes.html", f"{SITE}/shipin/1001")

    assert word == classes.parse_video(replace(page, body=page.body + element.encode())).refusal


def test_comments_in_html_are_read_and_tombstones_skipped(classes):
    """Relative moments count back from the clock; the next page is the next number."""
    found = classes.parse_comments(saved("classes.html", f"{SITE}/shipin/1001/pinglun?p=3"))
    yesterday_ms = (NOW_MS // 86_400_000 - 1) * 86_400_000

    assert found.comments == (
        ParsedComment("c3", "u5", "太帅了 👍", NOW_MS, "female"),
        ParsedComment("c1", "u6", "在哪里学的？", yesterday_ms + (14 * 60 + 5) * 60_000, None),  # noqa: RUF001
    )
    assert (f"{SITE}/shipin/1001/pinglun?p=4",) == found.next_urls
    assert f"{SITE}/shipin/1001/pinglun?p=1" == classes.comments_url(f"{SITE}/shipin/1001", "1001")


def test_an_empty_list_of_comments_is_the_end_and_no_list_is_a_changed_page(classes):
    """`within` tells a video without comments from a page that asks to log in."""
    url = f"{SITE}/shipin/1/pinglun?p=1"

    assert ((), ()) == (
        (found := classes.parse_comments(Page(url, b'<ul class="discussion"></ul>'))).comments,
        found.next_urls,
    )
    with pytest.raises(PageChangedError, match=r"no list of comments '\.discussion'"):
        classes.parse_comments(Page(url, b"<form>log in</form>"))


def test_the_home_page_tells_when_it_is_the_last(classes):
    """Pages count from one; a page without links is a changed page unless it says that nothing follows."""
    card = b'<div class="card"><a class="cover-link" href="/shipin/8"></a></div>'
    url = classes.home_url(f"{SITE}/", 2)

    assert f"{SITE}/faxian?p=3" == url
    assert (VideoLink("8", f"{SITE}/shipin/8"),) == classes.parse_home(Page(url, card)).links
    assert not classes.parse_home(Page(url, card)).is_last
    assert classes.parse_home(Page(url, card + b'<p class="no-more">')).is_last
    with pytest.raises(PageChangedError, match=r"home\.links"):
        classes.parse_home(Page(url, b"<p>"))


# --- a JSON API ---


def test_a_json_api_is_read_by_paths(api):
    """Fallbacks, keys with points, the last image, epoch seconds, files without an address left out."""
    video = api.parse_video(saved("api.json", f"{API}/v1/clips/a%2Fb%207"))

    assert ("a/b 7", f"{API}/c/7", "A cat on a roof") == (video.video_id, video.page_url, video.title)
    assert (("cats", "roofs, slates"), "en", "42") == (video.tags, video.language, video.author_id)
    assert (1200, 3_400_000, 3) == (video.like_count, video.view_count, video.comment_count)
    assert (1_772_366_400_000, 12.5) == (video.published_at_ms, video.duration_s)
    assert video.refusal is None
    assert f"{API}/v1/clips/a%2Fb%207/similar" == video.related_url
    assert video.media == (
        MediaLink("cover", f"{API}/i/l.jpg"),
        MediaLink("video", "https://cdn.api.test/7-240.mp4", 240, 90_000),
        MediaLink("video", "https://cdn.api.test/7-720.mp4", 720, 900_000),
    )


@pytest.mark.parametrize(
    ("changes", "word"), [({"downloadable": False}, "download_disabled"), ({"adult": True}, "sensitive")]
)
def test_a_refusal_is_a_json_value(api, changes, word):
    """A value that is true refuses; with a pattern its text decides, so that false can refuse too."""
    answer = json.loads((PAGES / "api.json").read_bytes())
    answer["clip"] |= changes

    assert word == api.parse_video(Page(f"{API}/v1/clips/7", json.dumps(answer).encode())).refusal


def test_links_of_an_api_are_made_of_ids(api):
    """The address is a template, the refusal stands in the row, and an empty list ends the feed."""
    rows = [{"key": "x/1"}, {"key": 2, "adult": True}, {"key": "x/1"}, {"nokey": 3}]
    links = (
        VideoLink("x/1", f"{API}/v1/clips/x%2F1"),
        VideoLink("2", f"{API}/v1/clips/2", refusal="sensitive"),
    )
    page = Page(api.home_url(API, 3), json.dumps({"data": {"clips": rows}}).encode())

    assert f"{API}/v1/feed?limit=2&skip=6" == page.url
    assert links == api.parse_home(page).links == api.parse_related(page)
    assert api.parse_home(Page(page.url, b'{"data": {"clips": []}}')).is_last


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"{}", b"null", b'{"data": 1}', b'{"error": "rate limit"}'])
def test_an_answer_without_the_list_is_never_an_empty_one(api, body):
    """An error page must not end a feed or a video's comments."""
    for read in (api.parse_home, api.parse_related, api.parse_comments, api.parse_video):
        with pytest.raises(PageChangedError):
            read(Page(f"{API}/v1/clips/7/replies?skip=0", body))


def test_comments_of_an_api_count_on_until_none_come(api):
    """The offset grows by the page's size; an empty page, or null, is the last."""
    rows = [{"id": 1, "by": 7, "body": "", "on": "Sun, 01 Mar 2026 12:00:00 GMT"}]
    url = api.comments_url(f"{API}/v1/clips/a%2Fb", "a/b")
    found = api.parse_comments(Page(url, json.dumps({"replies": rows}).encode()))

    assert f"{API}/v1/clips/a%2Fb/replies?skip=0" == url
    assert (ParsedComment("1", "7", "", 1_772_366_400_000),) == found.comments
    assert (f"{API}/v1/clips/a%2Fb/replies?skip=2",) == found.next_urls
    for empty in (b'{"replies": []}', b'{"replies": null}'):
        assert () == api.parse_comments(Page(found.next_urls[0], empty)).next_urls


@pytest.mark.parametrize("missing", ["id", "by", "body", "on"])
def test_a_comment_that_lacks_a_field_is_a_changed_page(api, missing):
    """Who said what and when is mandatory, and the message names the key to mend."""
    row = {"id": 1, "by": 7, "body": "x", "on": 1_772_366_400}
    del row[missing]
    key = {"id": "id", "by": "user_id", "body": "text", "on": "at"}[missing]

    with pytest.raises(PageChangedError, match=rf"comments\.{key} in the platform file"):
        api.parse_comments(Page(f"{API}/v1/clips/7/replies?skip=0", json.dumps({"replies": [row]}).encode()))


def test_a_cursor_that_stays_ends_the_comments():
    """A site that gives the same cursor again would be asked for ever."""
    platform = platform_of(SANDBOX_FILE)
    url = f"{SITE}/api/videos/a/comments?limit=100&cursor=x"
    row = {"id": 1, "user": {"id": 7}, "text": "t", "created_at_ms": 1_772_366_400_000}

    assert () == platform.parse_comments(Page(url, json.dumps({"comments": [row], "next": "x"}).encode())).next_urls


def test_json_inside_html_is_read_too():
    """`json_from` says which script holds the page's data, and a pattern cuts it out; spaces in it stay."""
    body = b'<h1>x</h1><script id="state">window.STATE = {"v": {"title": "a  b"}};</script>'
    video = {"json_from": {"select": "script#state", "pattern": r"= (\{.*\});"}, "title": "$.v.title"}

    assert "a  b" == SelectorsPlatform({**LEAST, "video": video}).parse_video(Page(f"{SITE}/v/1", body)).title


def test_a_page_in_another_encoding_is_read():
    """The encoding that a page declares is obeyed."""
    body = '<meta charset="gbk"><h1>瓶子</h1>'.encode("gbk")

    assert "瓶子" == SelectorsPlatform({**LEAST, "video": {"title": "h1"}}).parse_video(Page(f"{SITE}/v/1", body)).title


@pytest.mark.parametrize(("name", "url"), [("video_id", f"{SITE}/x"), ("title", f"{SITE}/v/1")])
def test_a_missing_mandatory_field_names_its_key(name, url):
    """The error says which key of the platform file finds nothing."""
    body = b"" if name == "title" else b'<meta property="og:title" content="T">'

    with pytest.raises(PageChangedError, match=rf"video\.{name} in the platform file"):
        SelectorsPlatform(LEAST).parse_video(Page(url, body))


@pytest.mark.parametrize("rows", ["//a/@href", "//a/text()", "//a/node()", "//comment()", "(count(//a))", "//a"])
@pytest.mark.parametrize("query", ["./@src", "b", "//c", ".", "./text()", "(count(./b))", "//comment()"])
def test_any_query_may_follow_any_rows(rows, query):
    """Attributes, texts, comments and numbers as rows are looked into without harm."""
    links = {"rows": rows, "url": query}
    page = Page(f"{SITE}/", b'<a href="/v/1">/v/2<!--/v/3--><b>/v/4</b></a>')

    read = outcomes(SelectorsPlatform({**LEAST, "home": {"url": "{instance}/", "links": links}}), page)

    assert set(read) <= set(READERS)


def test_an_id_that_is_an_address_has_one_spelling():
    """Links to one video under two spellings are one, and its own page has the same id."""
    links = {"rows": "a", "video_id": "./@href"}
    file = {**LEAST, "home": {"url": "{instance}/", "links": links}, "video": {"video_id": "link::attr(href)"}}
    platform = SelectorsPlatform(file)
    body = b'<a href="https://Site.test:443/v/1?utm_source=x#t">1</a><a href="https://site.test/v/1">1</a>'
    page = b'<link href="https://site.TEST/v/1?fbclid=2"><meta property="og:title" content="T">'

    [link] = platform.parse_home(Page(f"{SITE}/", body)).links

    assert (f"{SITE}/v/1", "https://Site.test:443/v/1?utm_source=x#t") == (link.video_id, link.url)
    assert f"{SITE}/v/1" == platform.parse_video(Page(link.url, page)).video_id


def test_a_pattern_sees_the_canonical_address():
    """A greedy pattern takes no tracking parameter for a part of the id."""
    platform = SelectorsPlatform({**LEAST, "id_pattern": "/v/(.+)"})

    links = platform.parse_home(Page(f"{SITE}/", b'<a href="/v/1?a=2&gclid=3">1</a><a href="/v/1?a=2">1</a>')).links

    assert (VideoLink("1?a=2", f"{SITE}/v/1?a=2&gclid=3"),) == links


# --- the file itself ---


def refusal(**changes):
    with pytest.raises(RecipeError) as refused:
        check_site({**LEAST, **changes}, source="mine.yaml")
    return refused.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vidoe": {}}, "unknown key 'vidoe': did you mean 'video'?"),
        ({"video": {"titel": "h1"}}, "unknown key 'video.titel': did you mean 'title'?"),
        ({"video": {"title": {"select": "h1", "patern": "x"}}}, "did you mean 'pattern'?"),
        ({"video": {"refuse": {"gone": {"selct": "p"}}}}, "unknown key 'video.refuse.gone.selct'"),
        ({"video": {"title": "h1["}}, "video.title.select.0 = 'h1[': not a usable CSS selector"),
        ({"video": {"title": "//h1["}}, "not a usable XPath"),
        ({"video": {"title": "$.a..b"}}, "cannot be read from '..b' on"),
        ({"video": {"title": None}}, "'title' says nothing; in YAML a selector that begins with # must"),
        ({"video": {"refuse": {"Not Me": "p"}}}, "video.refuse.Not Me"),
        ({"id_pattern": "("}, "not a regular expression"),
        ({"id_pattern": "(a)(b)"}, "it has 2 groups"),
        ({"id_pattern": 5}, "not a regular expression"),
        ({"home": {"url": "{instanc}/", "links": "a"}}, "{instanc} cannot stand here: did you mean {instance}?"),
        ({"home": {"url": "/x", "links": "a"}}, "an address begins with {instance}, or with http(s)://"),
        ({"home": {"url": "{instance}/{", "links": "a"}}, "a brace that belongs to no gap"),
        ({"home": {"url": "{instance}/"}}, "the key 'home.links' is missing"),
        ({"home": {"url": "{instance}/", "links": {"rows": "$.a", "url": "a"}}}, "must be a JSON path"),
        ({"related": {"links": {"rows": "a", "url_template": "{origin}/{video_id}"}}}, "needs video_id beside it"),
        ({"video": {"video": {"url": "video", "height": "i"}}}, "say with `rows`"),
        (
            {"comments": {**LEAST["comments"], "cursor": "i"}},
            "comments: {cursor} in next_url (or url) and the key `cursor`",
        ),
        ({"comments": {**LEAST["comments"], "next_url": "{origin}/{video_id}/{page}"}}, "{video_id}, which cannot be"),
    ],
)
def test_a_mistake_is_explained(changes, words):
    """Each message names the key, the value, and what would be right."""
    message = refusal(**changes)

    assert words in message
    assert message.startswith("mine.yaml cannot be used:")


def test_ids_must_come_from_somewhere():
    """Without a pattern and without a query for ids, no link could be told from another."""
    file = {key: value for key, value in LEAST.items() if key != "id_pattern"}

    with pytest.raises(RecipeError, match=r"either id_pattern or home\.links\.video_id"):
        check_site(file)


def test_the_adapter_is_found_by_its_name_and_needs_its_options():
    """`load_platform` hands the options on; without any, the message says what is missing."""
    assert "selectors" == load_platform("selectors", LEAST).name
    with pytest.raises(RecipeError, match="the key 'home' is missing"):
        load_platform("selectors")


@pytest.mark.parametrize(("text", "words"), [("- a", "holds a list"), ("a: [", "is not YAML")])
def test_a_file_that_is_no_table_is_refused(tmp_path, text, words):
    """A platform file is read with the same care as a recipe."""
    path = tmp_path / "site.yaml"
    path.write_text(text)

    with pytest.raises(RecipeError, match=words):
        read_site(path)
    with pytest.raises(RecipeError, match="cannot be read: No such file"):
        read_site(tmp_path / "none.yaml")


def test_a_file_stays_plain_data():
    """What a recipe keeps of the file survives YAML, and means the same."""
    raw = read_site(PAGES / "api.yaml")

    assert check_site(raw) == check_site(yaml.safe_load(yaml.safe_dump(raw)))


# --- whatever a site sends ---

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
READERS = {"parse_home": HomePage, "parse_video": ParsedVideo, "parse_related": tuple, "parse_comments": CommentPage}


def outcomes(platform, page):
    """Reads a page in all four ways; only a changed page may be raised, and what is read is of its reader's kind."""
    read = {}
    for reader, kind in READERS.items():
        with contextlib.suppress(PageChangedError):
            read[reader] = getattr(platform, reader)(page)
            assert isinstance(read[reader], kind)
    return read


@given(key=st.sampled_from(sorted(json.loads((PAGES / "api.json").read_bytes())["clip"])), value=JSON_VALUES)
def test_an_optional_field_of_an_api_may_be_anything(api, key, value):
    """A value of any kind in place of one that can be missing costs that field alone."""
    answer = json.loads((PAGES / "api.json").read_bytes())
    answer["clip"][key] = value
    page = Page(f"{API}/v1/clips/7", json.dumps(answer).encode())

    outcomes(api, page)
    if key not in {"key", "name", "caption"}:  # the id and the title are no option
        assert "a/b 7" == api.parse_video(page).video_id


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_are_a_changed_page(api, classes, body):
    """No answer makes the adapter fail in another way than `page_changed`."""
    read = [
        outcomes(api, Page(f"{API}/v1/clips/7/replies?skip=x", body)),
        outcomes(classes, Page(f"{SITE}/shipin/7/pinglun?p=x", body)),
    ]

    assert all(set(each) <= set(READERS) for each in read)

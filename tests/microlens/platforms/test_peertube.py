"""The PeerTube adapter on small answers written by hand, and on a whole recorded site where there is one."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from microlens.errors import PageChangedError
from microlens.platforms.base import Page, VideoLink, choose_media
from microlens.platforms.peertube import PeerTubePlatform
from microlens.records import Caption, MediaLink

A = "https://a.example"
B = "https://b.example"
UUID = "cb8ad78c-4d58-4a28-81a1-32b82972cc99"
OTHER = "fe5a71d0-860f-4d05-97b8-f07577ffc57a"
PLATFORM = PeerTubePlatform()
SITE = Path(__file__).parents[4] / "shared/real-platform/peertube/site"

VIDEO = {
    "uuid": UUID,
    "url": f"{B}/videos/watch/{UUID}",
    "name": "瓶子检测",
    "category": {"id": 15, "label": "Science & Technology"},
    "language": {"id": "zh", "label": "Chinese"},
    "publishedAt": "2026-11-21T20:11:28.336Z",
    "originallyPublishedAt": "2001-01-01T00:00:00.000Z",
    "duration": 10,
    "likes": 15,
    "views": 79,
    "comments": 135,
    "nsfw": False,
    "isLive": False,
    "downloadEnabled": True,
    "tags": ["outdoor", "bottle", "检测", "test pattern"],
    "account": {"name": "ana", "host": "b.example"},
    "previewPath": "/lazy-static/previews/p.jpg",
    "thumbnails": [
        {"width": 280, "height": 157, "fileUrl": f"{A}/lazy-static/small.jpg"},
        {"width": 1400, "height": 1400, "fileUrl": f"{A}/lazy-static/square.jpg"},
        {"width": 1280, "height": 720, "fileUrl": f"{A}/lazy-static/large.jpg"},
    ],
    "files": [
        {
            "resolution": {"id": 240},
            "height": 241,
            "size": 500,
            "hasVideo": True,
            "fileUrl": f"{B}/static/240.mp4",
            "fileDownloadUrl": f"{B}/download/240.mp4",
        },
        {"resolution": {"id": 0}, "height": 0, "size": 90, "hasVideo": False, "fileUrl": f"{B}/static/0.mp4"},
    ],
    "streamingPlaylists": [
        {
            "files": [
                {"resolution": {"id": 720}, "size": 900, "hasVideo": True, "fileUrl": f"{B}/hls/720-fragmented.mp4"}
            ]
        }
    ],
}


def page(path, answer):
    return Page(f"{A}/api/v1{path}", json.dumps(answer).encode())


def parsed(**changes):
    return PLATFORM.parse_video(page(f"/videos/{UUID}", VIDEO | changes))


def comment(number, *, replies=0, deleted=False, held=False):
    return {
        "id": number,
        "url": f"{B}/videos/watch/{UUID};threadId={number}",
        "text": "" if deleted else f"text <b>{number}</b>\n@bob",
        "createdAt": "2026-11-21T20:14:56.110Z",
        "isDeleted": deleted,
        "heldForReview": held,
        "totalReplies": replies,
        "account": None if deleted else {"name": "bob", "host": "b.example"},
    }


def thread(node, *children):
    return {"comment": node, "children": list(children)}


def ids(comments):
    return [int(each.comment_id.rpartition("=")[2]) for each in comments]


def test_the_home_page_asks_for_fifteen_newest_of_all_kinds():
    """Refresh n starts at row 15 n; sensitive videos are asked for so that they can be counted."""
    assert PLATFORM.home_url(f"{A}/", 2) == f"{A}/api/v1/videos?start=30&count=15&sort=-publishedAt&nsfw=both"


def test_a_list_yields_links_on_the_instance_that_listed_them():
    """A federated video keeps its uuid and is fetched where it was seen; a sensitive one carries its refusal."""
    rows = [{"uuid": UUID, "nsfw": False, "isLocal": False}, {"uuid": OTHER, "nsfw": True}]

    home = PLATFORM.parse_home(page("/videos?start=15&count=15", {"total": 30, "data": rows}))

    assert home.links == (
        VideoLink(UUID, f"{A}/api/v1/videos/{UUID}"),
        VideoLink(OTHER, f"{A}/api/v1/videos/{OTHER}", refusal="sensitive"),
    )
    assert not home.is_last


@pytest.mark.parametrize(
    ("url", "origin_url"),
    [
        (f"{B}/videos/watch/{UUID}", f"{B}/api/v1/videos/{UUID}"),
        (f"https://B.example:443/w/{UUID}", f"{B}/api/v1/videos/{UUID}"),
        ("/videos/watch/x", None),
        ("http://[broken", None),
        ("file:///etc/passwd", None),
        (7, None),
        (None, None),
    ],
)
def test_a_link_knows_the_instance_that_its_video_comes_from(url, origin_url):
    """The public address tells; what is no address tells nothing, and costs nothing."""
    row = {"uuid": UUID, "url": url}

    [link] = PLATFORM.parse_home(page("/videos?start=0&count=15", {"total": 1, "data": [row]})).links

    assert (f"{A}/api/v1/videos/{UUID}", origin_url) == (link.url, link.origin_url)


def test_captions_are_asked_for_beside_the_video():
    """Each language has its address and whether a machine wrote it; a row without either is passed over."""
    rows = [
        {"language": {"id": "en"}, "automaticallyGenerated": False, "fileUrl": f"{B}/c/en.vtt", "captionPath": "/x"},
        {"language": {"id": "zh-Hans"}, "captionPath": "/lazy-static/zh.vtt"},
        {"language": {"id": None}, "fileUrl": f"{B}/c/none.vtt"},
        {"language": {"id": "fr"}},
    ]

    assert parsed().captions is None
    assert parsed().captions_url == f"{A}/api/v1/videos/{UUID}/captions"
    assert PLATFORM.parse_captions(page(f"/videos/{UUID}/captions", {"total": 4, "data": rows})) == (
        Caption("en", f"{B}/c/en.vtt", is_generated=False),
        Caption("zh-Hans", f"{A}/lazy-static/zh.vtt"),
    )
    with pytest.raises(PageChangedError):
        PLATFORM.parse_captions(page(f"/videos/{UUID}/captions", {"error": "x"}))


@pytest.mark.parametrize(("start", "rows", "is_last"), [(0, 15, False), (15, 2, True), (30, 0, True)])
def test_a_list_tells_when_it_is_the_last(start, rows, is_last):
    """The end is where `total` says, or where nothing comes any more."""
    answer = {"total": 17, "data": [{"uuid": UUID}] * rows}

    assert is_last is PLATFORM.parse_home(page(f"/videos?start={start}&count=15", answer)).is_last


def test_every_field_of_a_video_is_read():
    """Times are milliseconds, people are name@host, the page's address is the one at its origin."""
    video = parsed()

    assert (video.video_id, video.page_url) == (UUID, f"{B}/videos/watch/{UUID}")
    assert video.title == "瓶子检测"
    assert (video.category, video.language) == ("Science & Technology", "zh")
    assert video.published_at_ms == 1_795_291_888_336
    assert video.duration_s == 10.0
    assert (video.like_count, video.view_count, video.comment_count) == (15, 79, 135)
    assert video.author_id == "ana@b.example"
    assert video.refusal is None


def test_a_category_without_an_id_is_none():
    """The server calls it `Unknown`, in the reader's language."""
    assert parsed(category={"id": None, "label": "Unknown"}).category is None


def test_media_are_the_large_landscape_cover_the_web_videos_and_the_sound():
    """Playlists are left alone where there are web videos, and `/download/` always."""
    assert parsed().media == (
        MediaLink("cover", f"{A}/lazy-static/large.jpg"),
        MediaLink("video", f"{B}/static/240.mp4", 240, 500),
        MediaLink("audio", f"{B}/static/0.mp4", None, 90),
    )


def test_an_instance_with_playlists_only_still_has_media():
    """Without web videos the fragmented files of the playlists are taken."""
    media = parsed(files=[]).media

    assert MediaLink("video", f"{B}/hls/720-fragmented.mp4", 720, 900) in media
    assert choose_media(media, "audio", max_height=480) is None


def test_a_video_with_playlists_alone_is_told_as_such():
    """Without any file the master playlist is the video."""
    playlists = [{"playlistUrl": f"{B}/hls/master.m3u8", "files": []}]

    media = parsed(files=[], streamingPlaylists=playlists).media

    assert MediaLink("video", f"{B}/hls/master.m3u8", format="hls") in media
    assert MediaLink("video", f"{B}/hls/master.m3u8", format="hls") not in parsed(streamingPlaylists=playlists).media


def test_an_older_instance_has_a_cover_and_a_sound_as_well():
    """`previewPath` stands for `thumbnails`; resolution 0 tells a sound where `hasVideo` is not said."""
    bare = [{key: value for key, value in row.items() if key != "hasVideo"} for row in VIDEO["files"]]

    media = parsed(thumbnails=None, files=bare).media

    assert [link.kind for link in media] == ["cover", "video", "audio"]
    assert media[0].url == f"{A}/lazy-static/previews/p.jpg"


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"downloadEnabled": False}, "download_disabled"),
        ({"nsfw": True, "downloadEnabled": False}, "sensitive"),
        ({"isLive": True}, "live"),
    ],
)
def test_a_refusal_has_its_own_word(changes, refusal):
    """What the owner does not want taken is told apart from what cannot be taken."""
    assert refusal == parsed(**changes).refusal


def test_related_videos_are_a_search_by_sorted_tags():
    """The parameter is repeated, and spaces and non-ASCII letters are percent-encoded, as the official client does."""
    tags = "tagsOneOf=bottle&tagsOneOf=outdoor&tagsOneOf=test%20pattern&tagsOneOf=%E6%A3%80%E6%B5%8B"

    assert parsed().related_url == f"{A}/api/v1/search/videos?start=0&count=20&{tags}&sort=-publishedAt"
    assert parsed(tags=[]).related_url is None


def test_a_search_yields_links():
    """Rows of a search are rows of a list."""
    answer = {"total": 1, "data": [{"uuid": OTHER, "nsfw": True}]}

    assert PLATFORM.parse_related(page("/search/videos?tagsOneOf=a", answer)) == (
        VideoLink(OTHER, f"{A}/api/v1/videos/{OTHER}", refusal="sensitive"),
    )


@pytest.mark.parametrize("field", ["uuid", "url", "name"])
@pytest.mark.parametrize("value", [None, {}, []])
def test_a_broken_mandatory_field_is_a_changed_page(field, value):
    """The error names the field and the page."""
    with pytest.raises(PageChangedError, match=f"'{field}'.*{UUID}"):
        parsed(**{field: value})


@pytest.mark.parametrize("field", sorted(VIDEO.keys() - {"uuid", "url", "name"}))
@pytest.mark.parametrize("value", [None, 7, "x", [None, {"fileUrl": 1}], {"id": []}])
def test_a_broken_optional_field_costs_nothing_else(field, value):
    """A video is not lost over a field that it can do without."""
    assert parsed(**{field: value}).title == "瓶子检测"


@pytest.mark.parametrize("uuid", ["../../etc/passwd", "", "1", UUID + "/x"])
def test_a_uuid_that_is_none_is_refused(uuid):
    """A hostile instance cannot choose names for our files or addresses."""
    with pytest.raises(PageChangedError):
        parsed(uuid=uuid)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"<html>", b'{"data": 1}', b'{"data": [1], "total": 1}'])
def test_an_answer_of_another_shape_is_a_changed_page(body):
    """Every reader says so; none fails in another way."""
    readers = (PLATFORM.parse_home, PLATFORM.parse_video, PLATFORM.parse_related, PLATFORM.parse_comments)
    for read in readers:
        with pytest.raises(PageChangedError):
            read(Page(f"{A}/api/v1/videos/{UUID}/comment-threads?start=0", body))


def test_a_list_of_threads_yields_roots_and_asks_for_their_answers_first():
    """Tombstones and held comments are no comments, but live answers below a tombstone are asked for."""
    rows = [comment(4), comment(3, replies=2), comment(2, replies=1, deleted=True), comment(1, held=True)]
    url = PLATFORM.comments_url(f"{A}/api/v1/videos/{UUID}", UUID)

    found = PLATFORM.parse_comments(Page(url, json.dumps({"total": 250, "data": rows}).encode()))

    threads = f"{A}/api/v1/videos/{UUID}/comment-threads"
    assert url == f"{threads}?start=0&count=100&sort=-createdAt"
    assert ids(found.comments) == [4, 3]
    assert found.next_urls == (f"{threads}/3", f"{threads}/2", f"{threads}?start=100&count=100&sort=-createdAt")


@pytest.mark.parametrize(("start", "total", "rows"), [(0, 100, 1), (100, 150, 1), (0, 5000, 0)])
def test_a_list_of_threads_ends(start, total, rows):
    """Nothing follows the last page, nor an empty one, whatever `total` says."""
    answer = {"total": total, "data": [comment(1)] * rows}

    found = PLATFORM.parse_comments(page(f"/videos/{UUID}/comment-threads?start={start}&count=100", answer))

    assert found.next_urls == ()


def test_a_thread_yields_all_live_answers_and_not_its_root():
    """Answers below a deleted answer count; the root was in the list already; text stays raw."""
    below = thread(comment(3, deleted=True), thread(comment(4)), thread(comment(5, held=True), thread(comment(6))))
    answer = thread(comment(1), thread(comment(2)), below, thread(comment(7)))

    found = PLATFORM.parse_comments(page(f"/videos/{UUID}/comment-threads/1", answer))

    assert ids(found.comments) == [2, 4, 6, 7]
    assert found.next_urls == ()
    assert found.comments[0].text == "text <b>2</b>\n@bob"
    assert found.comments[0].user_id == "bob@b.example"
    assert found.comments[0].commented_at_ms == 1_795_292_096_110
    assert found.comments[0].comment_id.startswith(B)


def test_a_thread_five_hundred_answers_deep_is_read():
    """Nesting costs no recursion; what no JSON parser takes is a changed page, not a crash."""
    nested = f'{{"comment": {json.dumps(comment(9))}, "children": ['

    deep = PLATFORM.parse_comments(page_of_text(nested * 500 + "]}" * 500))

    assert len(deep.comments) == 499
    with pytest.raises(PageChangedError, match="readable JSON"):
        PLATFORM.parse_comments(page_of_text(nested * 20_000 + "]}" * 20_000))


def page_of_text(text):
    return Page(f"{A}/api/v1/videos/{UUID}/comment-threads/1", text.encode())


@pytest.mark.parametrize("broken", [{"account": {}}, {"createdAt": "soon"}, {"url": None}, {"text": None}])
def test_a_live_comment_that_lacks_a_field_is_a_changed_page(broken):
    """Who said what and when is mandatory: a guess would be a false interaction."""
    with pytest.raises(PageChangedError):
        PLATFORM.parse_comments(page(f"/videos/{UUID}/comment-threads", {"total": 1, "data": [comment(1) | broken]}))


@pytest.fixture(scope="module")
def recording():
    if not SITE.is_dir():
        pytest.skip(f"no recorded PeerTube site at {SITE}")
    index = json.loads((SITE / "index.json").read_text())
    return {row["url"]: (SITE / "bodies" / row["body"]).read_bytes() for row in index if row["status"] == 200}


@pytest.fixture(scope="module")
def truth(recording):
    path = Path(__file__).parents[2] / "peertube_expected.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.expected(SITE)


def test_the_recorded_list_names_every_public_video(recording, truth):
    """Sixteen are listed, fifteen may be looked at."""
    url = "http://localhost:9000/api/v1/videos?start=0&count=100&sort=-publishedAt&nsfw=both"

    home = PLATFORM.parse_home(Page(url, recording[url]))

    assert truth.videos.keys() == {link.video_id for link in home.links}
    assert {uuid for uuid, video in truth.videos.items() if video.refusal == "sensitive"} == {
        link.video_id for link in home.links if link.refusal == "sensitive"
    }
    assert home.is_last


def test_the_recorded_videos_are_read_as_they_are(recording, truth):
    """Refusals, media and tags equal the truth, and each address that we spell was recorded."""
    for video in truth.videos.values():
        url = f"http://localhost:9000/api/v1/videos/{video.uuid}"
        if video.refusal == "sensitive":
            continue
        read = PLATFORM.parse_video(Page(url, recording[url]))

        offered = {file.url: file for file in video.files}
        assert (video.refusal, video.title, video.like_count) == (read.refusal, read.title, read.like_count)
        assert {file.url for file in video.files if file.kind != "cover"} == {link.url for link in read.media[1:]}
        assert all(offered[link.url].kind == link.kind for link in read.media)
        assert all(link.size_bytes in (None, offered[link.url].size_bytes) for link in read.media)
        assert offered[read.media[0].url].height == 1080
        assert captions(read, recording) == [row["language"]["id"] for row in told(read.captions_url, recording)]
        assert read.category
        assert all(row.video_id in truth.videos for row in related(read, recording))


def told(url, recording):
    return json.loads(recording[url])["data"]


def captions(video, recording):
    return [each.language for each in PLATFORM.parse_captions(Page(video.captions_url, recording[video.captions_url]))]


def related(video, recording):
    return PLATFORM.parse_related(Page(video.related_url, recording[video.related_url]))


def test_the_recorded_comments_are_each_found_once(recording, truth):
    """Following the addresses that the adapter names finds every live comment, root or reply, and no other."""
    for video in truth.videos.values():
        if video.refusal == "sensitive":
            continue
        found = list(crawled(video.uuid, recording))

        assert len(found) == video.announced_comments
        assert {(c.url, c.handle, c.created_ms, c.text) for c in video.comments} == {
            (c.comment_id, c.user_id, c.commented_at_ms, c.text) for c in found
        }


def crawled(uuid, recording):
    waiting = [PLATFORM.comments_url(f"http://localhost:9000/api/v1/videos/{uuid}", uuid)]
    while waiting:
        url = waiting.pop(0)
        answer = PLATFORM.parse_comments(Page(url, recording[url]))
        waiting = [*answer.next_urls, *waiting]
        yield from answer.comments

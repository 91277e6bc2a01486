"""Videos, comments and requests of yt-dlp's real extractors, fed with small answers."""

import json

import pytest

from microlens.errors import ExtractorBrokenError
from microlens.platforms.base import Answer, VideoLink, choose_media
from microlens.platforms.ytdlp.facts import video_of
from microlens.platforms.ytdlp.platform import YtDlpPlatform

PLATFORM = YtDlpPlatform()
LINK = VideoLink("Some:1", "https://www.site.example/v/1")
BANNED = "https://banned.video/watch?id=5f5d1b2b0f4f4b0019d5d1b2"


def person(number):
    return {"_id": f"user{number}", "username": f"Name {number}"}


def comment(number, replies=0, **changes):
    said = {"_id": f"c{number}", "content": f"text {number}", "createdAt": "2024-01-02T03:04:05Z"}
    return {**said, "user": person(number), "voteCount": {"positive": 1}, "replyCount": replies, **changes}


def site(comments, replies=(), **video):
    """An `ask` that is the GraphQL server of one site, and the questions."""
    asked = []
    shown = {
        "title": "A film ",
        "directUrl": "https://files.example/a.mp4",
        "createdAt": "2024-01-02T00:00:00Z",
        "tags": [{"name": "one"}, {"name": "#two"}],
        "channel": {"_id": "chan", "title": "Channel"},
        "playCount": 7,
        "videoDuration": 1.5,
        "largeImage": "https://files.example/a.jpg",
        "unlisted": False,
        "live": False,
        **video,
    }

    def ask(question):
        asked.append(question)
        wanted = json.loads(question.body)["operationName"]
        data = {"getVideo": shown, "getVideoComments": comments, "getCommentReplies": list(replies)}
        kinds = {"GetVideoAndComments": ("getVideo", "getVideoComments"), "GetCommentReplies": ("getCommentReplies",)}
        answer = {"data": {name: data[name] for name in kinds[wanted]}}
        return Answer(question.url, 200, (("Content-Type", "application/json"),), json.dumps(answer).encode())

    return ask, asked


def test_a_video_with_all_its_fields():
    """Fields of an extractor's info stand where ours are; the author's id names its site."""
    ask, _ = site([])
    video = PLATFORM.ask_video(VideoLink("BannedVideo:5f", BANNED), ask)

    assert ("BannedVideo:5f", "A film", ("one", "two")) == (video.video_id, video.title, video.tags)
    assert (1704153600000, 1.5, 7) == (video.published_at_ms, video.duration_s, video.view_count)
    assert "banned.video:chan" == video.author_id
    assert {"cover": "https://files.example/a.jpg", "video": "https://files.example/a.mp4"} == {
        link.kind: link.url for link in video.media
    }
    assert video.refusal is None


def test_the_first_category_is_the_videos():
    """yt-dlp lists categories; a release has a place for one, and seeds may be chosen by it."""
    info = {"title": "A film", "categories": ["Film & Animation", "Comedy"]}

    assert "Film & Animation" == video_of(info, VideoLink("BannedVideo:5f", BANNED)).category
    assert video_of({"title": "A film"}, VideoLink("BannedVideo:5f", BANNED)).category is None


@pytest.mark.parametrize(("shown", "reason"), [({"unlisted": True}, "unlisted"), ({"live": True}, "live")])
def test_what_the_owner_does_not_want_taken(shown, reason):
    """An unlisted video and a live one are refused with their reasons."""
    ask, _ = site([], **shown)

    assert reason == PLATFORM.ask_video(VideoLink("BannedVideo:5f", BANNED), ask).refusal


def test_no_request_says_who_a_browser_would_be():
    """A question has what the extractor set for its site, and nothing of yt-dlp's own disguise; its body is whole."""
    ask, asked = site([])
    PLATFORM.ask_video(VideoLink("BannedVideo:5f", BANNED), ask)
    names = {name.lower() for name, _ in asked[0].headers}

    assert "POST" == asked[0].method
    assert {"content-type"} <= names
    assert set() == names & {"user-agent", "cookie", "accept-language", "sec-fetch-mode", "accept-encoding"}
    assert "5f5d1b2b0f4f4b0019d5d1b2" == json.loads(asked[0].body)["variables"]["id"]


def test_comments_and_replies():
    """Replies are comments; ids name their site; no more is asked for than the limit takes."""
    ask, asked = site([comment(1, replies=1), comment(2, replies=1)], replies=[comment(3)])
    found = PLATFORM.ask_comments(BANNED, ask, limit=3)

    assert ["banned.video:c1", "banned.video:c2", "banned.video:c3"] == [row.comment_id for row in found]
    assert ("banned.video:user1", "text 1", 1704164645000) == (
        found[0].user_id,
        found[0].text,
        found[0].commented_at_ms,
    )
    assert 2 == len(asked)


def test_a_comment_without_author_or_moment_is_left_out():
    """Who and when make an interaction; where no comment of a video has both, its extractor is broken."""
    rows = [comment(1), comment(2, user=None), comment(3, createdAt=None)]
    ask, _ = site(rows)
    found = PLATFORM.ask_comments(BANNED, ask, limit=10)
    nothing, _ = site(rows[1:])

    assert ["text 1"] == [row.text for row in found]
    with pytest.raises(ExtractorBrokenError, match="none of its 2 comments"):
        PLATFORM.ask_comments(BANNED, nothing, limit=10)


def test_only_plain_files_are_media():
    """Segments, manifests and protected files are none; a clip has its sound where the site has such a file."""
    video = video_of(
        {
            "title": "t",
            "formats": [
                {"url": "https://f.example/a.m3u8", "height": 1080},
                {"url": "https://f.example/b", "protocol": "m3u8_native", "height": 1080},
                {"url": "https://f.example/c", "fragments": [{}], "height": 1080},
                {"url": "https://f.example/d", "has_drm": True, "height": 1080},
                {"url": "rtmp://f.example/e", "height": 1080},
                {"url": "https://f.example/silent", "acodec": "none", "vcodec": "h264", "height": 720},
                {"url": "https://f.example/small.webm", "ext": "webm", "height": 360, "filesize": 5},
                {"url": "https://f.example/small.mp4", "ext": "mp4", "height": 360, "filesize": 7},
                {"url": "https://f.example/low", "vcodec": "none", "acodec": "opus", "abr": 32},
                {"url": "https://f.example/high", "vcodec": "none", "acodec": "opus", "abr": 128},
                {"url": "https://f.example/board", "vcodec": "none", "acodec": "none"},
            ],
            "thumbnails": [{"url": "https://f.example/1.jpg", "width": 9, "height": 9}, {"url": "//f.example/2.jpg"}],
        },
        LINK,
    )
    chosen = {kind: choose_media(video.media, kind, max_height=1080) for kind in ("cover", "audio", "video")}

    assert "https://f.example/1.jpg" == chosen["cover"].url
    assert "https://f.example/high" == chosen["audio"].url
    assert ("https://f.example/small.mp4", 360, 7) == (
        chosen["video"].url,
        chosen["video"].height,
        chosen["video"].size_bytes,
    )


def test_fields_that_are_no_numbers_are_none():
    """An extractor's info is the site's word: what is no number is not one."""
    info = {
        "title": 7,
        "like_count": "many",
        "duration": [],
        "timestamp": "soon",
        "upload_date": "20240102",
        "tags": "a",
    }
    video = video_of(info, LINK)

    assert ("7", None, None, 1704153600000) == (
        video.title,
        video.like_count,
        video.duration_s,
        video.published_at_ms,
    )

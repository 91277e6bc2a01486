"""What yt-dlp's real extractors make of small answers, and what we make of their errors."""

import json

import pytest

from microlens.errors import ExtractorBrokenError
from microlens.platforms.base import Answer, NoAnswerError, UnavailableError, VideoLink
from microlens.platforms.ytdlp.platform import YtDlpPlatform

PLATFORM = YtDlpPlatform()
PEERTUBE = "https://peertube.cpy.re/w/r8MH7DWZtuNAMP7ruScgFg"
BITCHUTE = "https://www.bitchute.com/video/UGlrF9o9b-Q/"
SCREENCAST = "https://screencast-o-matic.com/watch/c2lD3BeOPl"
STREAMABLE = "https://streamable.com/dnd1"
ELSEWHERE = {"errors": [{"context": "reason", "message": "This video is unavailable in your location."}]}


def answering(status=200, body=b"", headers=()):
    """An `ask` that gives every question the same answer, and the questions."""
    asked = []
    said = body if isinstance(body, bytes) else json.dumps(body).encode()

    def ask(question):
        asked.append(question)
        return Answer(question.url, status, headers, said)

    return ask, asked


def link_to(url):
    from microlens.platforms.ytdlp.extraction import extractor_of

    return VideoLink(f"{extractor_of(url).ie_key()}:x", url)


@pytest.mark.parametrize(
    ("url", "status", "body", "reason", "is_final"),
    [
        (PEERTUBE, 404, {}, "gone", True),
        (PEERTUBE, 410, {}, "gone", True),
        (PEERTUBE, 401, {}, "private", True),
        (PEERTUBE, 403, {}, "private", True),
        (PEERTUBE, 429, {}, "rate_limited", False),
        (PEERTUBE, 503, {}, "server_error", False),
        (BITCHUTE, 403, ELSEWHERE, "geo_blocked", True),
        (SCREENCAST, 200, b"<title>Protected Content</title>", "private", True),
        (STREAMABLE, 200, {"status": 3}, "unavailable", True),
        ("https://example.org/some/video", 200, b"<video src=a.mp4>", "unsupported_address", True),
    ],
)
def test_refusals_have_our_reasons(url, status, body, reason, is_final):
    """What an extractor says of a video's absence has the ledger's words, and says whether a later try can help."""
    ask, asked = answering(status, body)
    link = VideoLink("Generic:x", url) if "example.org" in url else link_to(url)
    with pytest.raises(UnavailableError) as caught:
        PLATFORM.ask_video(link, ask)

    assert (reason, is_final) == (caught.value.refusal.reason, caught.value.refusal.is_final)
    assert (reason != "unsupported_address") == bool(asked)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"not JSON", b'{"name": null}'])
def test_an_answer_that_cannot_be_read_breaks_the_extractor(body):
    """An extractor that no longer reads its site says so, with what to do now."""
    ask, _ = answering(200, body)
    with pytest.raises(ExtractorBrokenError, match=r"yt-dlp .* cannot read https://peertube") as caught:
        PLATFORM.ask_video(link_to(PEERTUBE), ask)

    assert "pip install -U yt-dlp" in caught.value.hint


def test_no_answer_stays_no_answer():
    """Where `ask` has no answer and the extractor cannot go on, that is what is told."""

    def ask(question):
        raise NoAnswerError(f"{question.url}: robots")

    with pytest.raises(NoAnswerError, match="robots"):
        PLATFORM.ask_video(link_to(PEERTUBE), ask)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Private video. Sign in if you've been granted access to this video", "private"),
        ("Sign in to confirm you're not a bot", "rate_limited"),
        ("Sign in to confirm your age", "sensitive"),
        ("This video is only available for registered users", "private"),
        ("This video has been removed by the uploader", "gone"),
        ("The uploader has not made this video available in your country", "geo_blocked"),
        ("This video is DRM protected", "drm"),
        ("The extractor is attempting impersonation, but no impersonate target is available", "needs_browser"),
        ("Video unavailable", "unavailable"),
    ],
)
def test_words_of_expected_errors(message, reason):
    """Errors that extractors raise in the site's name are told apart by the words that yt-dlp uses."""
    from yt_dlp.utils import ExtractorError

    from microlens.platforms.ytdlp.outcomes import explained

    with pytest.raises(UnavailableError) as caught, explained(PEERTUBE):
        raise ExtractorError(message, expected=True)

    assert reason == caught.value.refusal.reason


def test_a_bug_is_no_refusal():
    """The same words in an error that the extractor did not expect are its own, not the site's."""
    from yt_dlp.utils import ExtractorError

    from microlens.platforms.ytdlp.outcomes import explained

    with pytest.raises(ExtractorBrokenError), explained(PEERTUBE):
        raise ExtractorError("Unable to extract private key")

"""yt-dlp has one way out, whatever this machine's environment offers it."""

import pytest
import yt_dlp.globals
from yt_dlp.extractor import openload
from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import RequestError

from microlens.platforms.base import Answer, VideoLink
from microlens.platforms.ytdlp.extraction import Extraction, extractor_of, extractors
from microlens.platforms.ytdlp.platform import YtDlpPlatform

PEERTUBE = "https://peertube.cpy.re/w/r8MH7DWZtuNAMP7ruScgFg"


def never(question):
    raise AssertionError(f"{question} was asked")


def test_proxies_and_configuration_of_the_environment_are_not_used(monkeypatch, tmp_path):
    """With a proxy, a configuration file and a plugin to be found, the question is the same."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "yt-dlp.conf").write_text("--user-agent Mozilla/5.0\n--proxy http://127.0.0.1:9\n")
    asked = []

    def ask(question):
        asked.append(question)
        return Answer(question.url, 200, (), b'{"name": "t"}')

    video = YtDlpPlatform().ask_video(VideoLink("PeerTube:1", PEERTUBE), ask)

    assert "t" == video.title
    assert [()] == [question.headers for question in asked]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example/x", "wss://a.example/x", "data:text/plain,x"])
def test_nothing_but_http_is_asked_for(url):
    """Any other scheme has no handler."""
    with pytest.raises(RequestError):
        Extraction(never, {})._library.urlopen(Request(url))


@pytest.mark.parametrize(
    "more", [{"proxies": {"all": "http://127.0.0.1:9"}}, {"extensions": {"impersonate": "chrome"}}]
)
def test_proxies_and_disguises_are_refused(more):
    """A request that wants either is not made."""
    with pytest.raises(RequestError):
        Extraction(never, {})._library.urlopen(Request(PEERTUBE, **more))


def test_no_program_and_no_plugin_is_looked_for():
    """PhantomJS would fetch past us, and a plugin could do anything."""
    known = extractors()

    assert "Generic" not in known
    assert extractor_of("https://example.org/a.mp4") is None
    assert openload.check_executable("phantomjs", ["-v"]) is False
    assert ([], True) == (yt_dlp.globals.plugin_dirs.value, yt_dlp.globals.all_plugins_loaded.value)
    assert {} == Extraction(never, {})._library._js_runtimes

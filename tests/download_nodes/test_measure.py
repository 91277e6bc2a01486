"""From a file to its AssetRecord."""

import pytest

from download_nodes.measure import measure
from microlens.errors import MicrolensError
from microlens.records import AssetRecord
from microlens.sniff import NotMediaError


def measured(path, kind):
    return measure(path, kind=kind, platform="sandbox", video_id="v1", sha256="ab" * 32, size_bytes=path.stat().st_size)


def test_a_covers_record_holds_what_its_bytes_tell(tmp_path, make_cover):
    """Size, type, share of the commonest colour and hash; nothing about streams."""
    path = make_cover(tmp_path / "a.jpg")
    asset = measured(path, "cover")

    assert (asset.platform, asset.video_id, asset.kind) == ("sandbox", "v1", "cover")
    assert (asset.sha256, asset.size_bytes, asset.mime) == ("ab" * 32, path.stat().st_size, "image/jpeg")
    assert (asset.width, asset.height, asset.is_decodable) == (96, 72, True)
    assert 0 < asset.dominant_share < 1
    assert len(asset.phash) == 64
    assert (asset.duration_s, asset.fps, asset.codecs) == (None, None, None)


def test_a_videos_record_holds_what_its_bytes_tell(clip):
    """Length, rate, size and codecs; nothing about colours."""
    asset = measured(clip, "video")

    assert (asset.kind, asset.mime, asset.codecs, asset.is_decodable) == ("video", "video/mp4", "h264,aac", True)
    assert (asset.width, asset.height, asset.fps) == (96, 72, 25)
    assert asset.duration_s == pytest.approx(2, abs=0.1)
    assert asset.dominant_share is None


def test_a_sound_may_lie_in_a_videos_container(tmp_path, make_video):
    """PeerTube's audio-only file is an MP4 like the others."""
    asset = measured(make_video(tmp_path / "0.mp4", video=None), "audio")

    assert (asset.kind, asset.mime, asset.codecs, asset.is_decodable) == ("audio", "video/mp4", "aac", True)


@pytest.mark.parametrize("kind", ["cover", "video", "audio"])
@pytest.mark.parametrize("data", [b"", bytes(100), b"\x80" * 5000])
def test_bytes_that_say_nothing_are_recorded_as_not_decodable(tmp_path, kind, data):
    """A broken file is a fact about the video, not an error of the node."""
    path = tmp_path / "x"
    path.write_bytes(data)

    assert measured(path, kind) == AssetRecord(
        "sandbox",
        "v1",
        kind,
        "ab" * 32,
        len(data),
        "application/octet-stream",
        is_decodable=False,
        error="unknown_type",
    )


def test_a_cut_video_keeps_what_could_be_read(clip, tmp_path):
    """The index at its front still tells size and length."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:30_000])
    asset = measured(path, "video")

    assert asset.is_decodable is False
    assert (asset.width, asset.height) == (96, 72)


@pytest.mark.parametrize("kind", ["cover", "video", "audio"])
@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (b"<!doctype html><title>Log in</title>", "text/html"),
        (b"Too many requests", "text/plain"),
        (b"#EXTM3U\n/etc/passwd\n", "application/vnd.apple.mpegurl"),
    ],
)
def test_a_page_in_place_of_media_is_an_error_that_names_what_came(tmp_path, kind, data, mime):
    """It goes the way of a failed fetch, with the found type in the message."""
    path = tmp_path / "x.jpg"
    path.write_bytes(data)

    with pytest.raises(NotMediaError, match=f"{kind} of video 'v1'.*{mime}") as caught:
        measured(path, kind)

    assert caught.value.mime == mime
    assert isinstance(caught.value, MicrolensError)


def test_media_of_another_kind_is_an_error(clip, tmp_path, make_cover):
    """A film is no cover, a picture neither a film nor a sound, a sound by its brand no film."""
    cover = make_cover(tmp_path / "a.png")
    for path, kind in ((clip, "cover"), (cover, "video"), (cover, "audio")):
        with pytest.raises(NotMediaError):
            measured(path, kind)

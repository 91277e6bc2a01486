"""The sound of a video, taken out of its file."""

import asyncio
import hashlib
import sys

import av
import numpy as np
import pytest

from download_nodes.audio import extract_audio
from download_nodes.measuring import Measurer, NoAudioError
from download_nodes.probe import probe_audio
from download_nodes.sound import take_sound
from download_nodes.transcode import NoTranscoderError, check_transcoder, transcode
from microlens.local_store import LocalStore
from microlens.sniff import mime_of

IDENTITY = {"platform": "sandbox", "video_id": "v1"}
KINDS = [
    ("mp4", "libx264", "aac", "audio/mp4", "aac"),
    ("matroska", "libx264", "aac", "audio/mp4", "aac"),
    ("mpegts", "libx264", "aac", "audio/mp4", "aac"),
    ("mp4", "libx264", "libopus", "audio/ogg", "opus"),
    ("webm", "libvpx", "libopus", "audio/ogg", "opus"),
    ("matroska", "libx264", "libmp3lame", "audio/mpeg", "mp3"),
    ("matroska", "libx264", "flac", "audio/flac", "flac"),
    ("matroska", "libx264", "pcm_s16le", "audio/wav", "pcm_s16le"),
    ("matroska", "libx264", "ac3", "video/x-matroska", "ac3"),
]


def extracted(path, into):
    with into.open("w+b") as file:
        return extract_audio(path, file)


def samples(path):
    """All that a sound decodes to."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]).tolist()


def coded(path):
    """The packets as they lie in the file, without their containers' words."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_sound_goes_into_the_container_of_its_codec(tmp_path, make_video, kind):
    """It decodes, and to the samples that lay in the video; containers differ in how they mark padding at the end."""
    container, video, audio, mime, codec = kind
    path, into = make_video(tmp_path / "clip", video=video, audio=audio, container=container), tmp_path / "sound"
    reason, facts = extracted(path, into), probe_audio(into)

    assert reason is None
    assert mime_of(into) == mime
    assert (facts.is_decodable, facts.codecs, facts.stream_count) == (True, codec, 1)
    assert facts.duration_s == pytest.approx(2, abs=0.1)
    assert len(samples(path)) == pytest.approx(len(samples(into)), rel=0.03)
    assert all(one == other for one, other in zip(samples(into), samples(path), strict=False))


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_the_same_video_gives_the_same_bytes(tmp_path, make_video, kind):
    """No dates, no random numbers; the video itself is only read."""
    container, video, audio, _, _ = kind
    path = make_video(tmp_path / "clip", video=video, audio=audio, container=container)
    before = path.read_bytes()
    hashes = set()
    for number in range(3):
        assert extracted(path, tmp_path / f"{number}") is None
        hashes.add(hashlib.sha256((tmp_path / f"{number}").read_bytes()).hexdigest())

    assert len(hashes) == 1
    assert path.read_bytes() == before


def test_no_packet_is_changed(tmp_path, clip):
    """Nothing is coded anew."""
    extracted(clip, tmp_path / "sound")

    assert coded(tmp_path / "sound") == coded(clip)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "no_audio"), (b"<html>", "no_audio"), (b"\0\0\0\x10ftypisom\0\0\0\0moov", "audio_broken")],
)
def test_what_has_no_sound_gives_a_word(tmp_path, data, reason):
    """Pages, empty files and stumps raise nothing."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)

    assert reason == extracted(path, tmp_path / "sound")


def take(folder, path, codec="keep"):
    """Give the record, the bytes, and what is left in the store's folder."""
    store = LocalStore(folder / "store")

    async def work():
        async with Measurer() as measurer:
            return await take_sound(measurer, store, path, codec=codec, **IDENTITY)

    asset, made = asyncio.run(work())
    data = made.read_bytes()
    made.unlink()
    return asset, data, [each for each in (folder / "store").rglob("*") if each.is_file()]


def test_a_sounds_record_tells_where_it_is_from(tmp_path, clip):
    """It is an asset like others, with a hash, a size and measurements of its own."""
    asset, data, left = take(tmp_path, clip)

    assert (asset.kind, asset.origin, asset.url_key, asset.video_id) == ("audio", "extracted", None, "v1")
    assert (asset.sha256, asset.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (asset.mime, asset.container, asset.codecs, asset.is_decodable) == ("audio/mp4", "mov", "aac", True)
    assert left == []


def test_a_silent_video_leaves_nothing_behind(tmp_path, make_video):
    """Neither a file nor an asset; the word says why."""
    silent, store = make_video(tmp_path / "silent.mp4", audio=None), LocalStore(tmp_path / "store")

    async def work():
        async with Measurer() as measurer:
            await take_sound(measurer, store, silent, codec="keep", **IDENTITY)

    with pytest.raises(NoAudioError, match=r"'v1'.*no_audio") as caught:
        asyncio.run(work())

    assert caught.value.reason == "no_audio"
    assert [] == [each for each in (tmp_path / "store").rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    ("codec", "mime"), [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac"), ("aac", "audio/mp4")]
)
def test_a_sound_is_transcoded_where_the_recipe_asks(tmp_path, clip, codec, mime):
    """Into the codec that is named, the same bytes each time; what is in it already stays as it is."""
    pytest.importorskip("imageio_ffmpeg", reason="the extra `transcode` is not installed")
    asset, data, left = take(tmp_path, clip, codec)
    _, again, _ = take(tmp_path, clip, codec)
    _, kept, _ = take(tmp_path, clip)

    assert (asset.mime, asset.codecs, asset.is_decodable) == (mime, codec, True)
    assert asset.duration_s == pytest.approx(2, abs=0.1)
    assert data == again
    assert (codec == "aac") == (data == kept)
    assert left == []


def test_what_the_program_cannot_read_gives_a_word(tmp_path):
    """A stump is no reason to stop a node."""
    pytest.importorskip("imageio_ffmpeg", reason="the extra `transcode` is not installed")
    (tmp_path / "stump").write_bytes(b"ID3" + bytes(500))

    with pytest.raises(NoAudioError) as caught:
        asyncio.run(transcode(tmp_path / "stump", tmp_path / "made", "opus", video_id="v"))

    assert caught.value.reason == "audio_broken"


def test_without_the_extra_the_error_names_it(monkeypatch):
    """And says what to do instead."""
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)

    with pytest.raises(NoTranscoderError, match="'mp3'") as caught:
        check_transcoder("mp3")

    assert "microlens-build[transcode]" in caught.value.hint

"""What files hold, read from their bytes: good ones, broken ones and hostile ones."""

import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from download_nodes.cover import CoverFacts, probe_cover
from download_nodes.fingerprint import phash_hex
from download_nodes.probe import StreamFacts, probe_audio, probe_video
from microlens.sniff import sniff

REAL = Path(__file__).parents[3] / "shared/real-media"


def kept(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"GIF89a\x01\x00", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", None),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video/mp4"),
        (b"\x00\x00\x00\x20ftypiso5\x00\x00\x02\x00", "video/mp4"),
        (b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00", "audio/mp4"),
        (b"\x00\x00\x00\x1cftypqt  \x00\x00\x02\x00", "video/quicktime"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "image/avif"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "video/x-matroska"),
        (b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead", "audio/ogg"),
        (b"OggS\x00\x02" + bytes(22) + b"\x01\x2a\x80theora", "video/ogg"),
        (b"fLaC\x00\x00\x00\x22", "audio/flac"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x64\x00", "audio/mpeg"),
        (b"\xff\xf1\x4c\x40\x1b", "audio/aac"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "text/html"),
        (b"<HTML><body>Log in</body>", "text/html"),
        (b"Too many requests, please try again later.", "text/plain"),
        (b'{"status": 404}', "text/plain"),
        ("你好".encode() * 86, "text/plain"),
        (b"#EXTM3U\n/etc/passwd\n", "application/vnd.apple.mpegurl"),
        (b"", None),
        (b"\xff", None),
        (bytes(512), None),
        (b"\x80\x81\x82\x83", None),
    ],
)
def test_a_type_is_told_by_the_first_bytes(head, mime):
    """Names and headers are not asked; pages and playlists in place of media are told as such."""
    assert sniff(head[:512]) == mime


@given(st.binary(max_size=600))
def test_any_bytes_can_be_sniffed(head):
    """The answer is a type or None, never an error."""
    assert sniff(head) is None or "/" in sniff(head)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif"])
def test_a_cover_is_measured(tmp_path, make_cover, name):
    """Its own size is told, not the size that it was decoded at; the extension plays no part."""
    facts = probe_cover(make_cover(tmp_path / name).rename(tmp_path / "cover.bin"))

    assert facts.is_decodable
    assert facts.error is None
    assert (facts.width, facts.height) == (96, 72)
    assert 0 < facts.dominant_share < 0.5
    assert len(facts.phash) == 64


def test_the_same_cover_has_nearly_the_same_hash_in_every_format(tmp_path, make_cover, noise):
    """JPEG's shortcut of decoding at a fraction of the size does not change what is seen."""
    picture = noise(5, 1080, 1920)
    facts = [probe_cover(make_cover(tmp_path / name, picture)) for name in ("a.jpg", "a.png", "a.webp")]

    hashes = [int(each.phash, 16) for each in facts]
    assert all((hashes[0] ^ other).bit_count() < 20 for other in hashes)
    assert all(each.dominant_share == pytest.approx(facts[0].dominant_share, abs=0.03) for each in facts)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.gif"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_half_a_cover_is_broken(tmp_path, make_cover, noise, name, share):
    """A cover that was cut off is not decodable."""
    path = make_cover(tmp_path / name, noise(2, 300, 400))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    facts = probe_cover(path)

    assert facts == CoverFacts(is_decodable=False, error="broken")


_GIF_FRAME = struct.pack("<cHHHHB", b"\x2c", 0, 0, 50_000, 50_000, 0) + b"\x02\x02\x4c\x01\x00\x3b"


def gif_bomb():
    return b"GIF89a" + struct.pack("<HH", 50_000, 50_000) + b"\x80\x00\x00" + bytes(6) + _GIF_FRAME


def png_bomb(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "bomb",
    [gif_bomb(), png_bomb(7_000), png_bomb(11_000), png_bomb(60_000)],
    ids=["gif", "png49M", "png121M", "png3600M"],
)
def test_a_picture_that_declares_too_many_pixels_is_not_decoded(tmp_path, bomb):
    """A few bytes must not cost gigabytes, nor raise or warn."""
    facts = probe_cover(kept(tmp_path / "bomb", bomb))

    assert not facts.is_decodable
    assert facts.error == "too_many_pixels"


@pytest.mark.parametrize(
    ("options", "container"),
    [
        ({"movflags": "faststart"}, "mp4"),
        ({"movflags": "frag_keyframe+empty_moov"}, "mp4"),
        ({}, "matroska"),
        ({}, "mpegts"),
    ],
)
def test_a_video_is_measured(tmp_path, make_video, options, container):
    """Plain MP4, fragmented MP4, Matroska and a transport stream tell the same."""
    facts = probe_video(make_video(tmp_path / "clip", container=container, options=options))

    assert facts.is_decodable
    assert facts.error is None
    assert facts.duration_s == pytest.approx(2, abs=0.1)
    assert (facts.fps, facts.width, facts.height) == (25, 96, 72)
    assert facts.codecs == "h264,aac"
    assert (facts.container, facts.stream_count) == ({"mp4": "mov"}.get(container, container), 2)
    assert (facts.first_decodes, facts.middle_decodes, facts.last_decodes) == (True, True, True)
    assert len(facts.phash) == 64


def test_the_hash_is_that_of_the_middle_frame(tmp_path, make_video, noise):
    """In a clip of keyframes it is exactly the frame at half time."""
    path = make_video(tmp_path / "clip", video="ffv1", audio=None, container="matroska")
    middle = int(probe_video(path).phash, 16)

    distances = [(middle ^ int(phash_hex(noise(number)), 16)).bit_count() for number in range(50)]
    assert int(np.argmin(distances)) in (24, 25)
    assert min(distances) < 40


@pytest.mark.parametrize(
    ("damaged", "decodes"),
    [((0.0, 0.0), (True, True, True)), ((0.3, 0.7), (True, False, True)), ((0.8, 1.0), (True, True, False))],
)
def test_which_frames_decode_is_told(tmp_path, noise, keyed, damaged, decodes):
    """Damage in the middle leaves the ends as they are, and damage at the end what came before."""
    path = keyed(tmp_path / "clip", noise, 20, "mp4")
    data = bytearray(path.read_bytes())
    start, size = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 :][:4], "big") - 8
    first, last = (start + int(size * share) for share in damaged)
    data[first:last] = bytes(last - first)
    facts = probe_video(kept(path, bytes(data)))

    assert (facts.first_decodes, facts.middle_decodes, facts.last_decodes) == decodes
    assert facts.is_decodable == all(decodes)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("options", [{"movflags": "faststart"}, {"movflags": "frag_keyframe+empty_moov"}, {}])
def test_a_video_that_was_cut_off_is_not_decodable(tmp_path, make_video, options, share):
    """Wherever the index lies and however little is missing."""
    path = make_video(tmp_path / "clip", options=options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    facts = probe_video(path)

    assert not facts.is_decodable
    assert facts.error in {"truncated", "broken"}


def test_a_sound_in_a_videos_clothes_is_no_video(tmp_path, make_video):
    """An MP4 with sound only decodes as a sound."""
    path = make_video(tmp_path / "sound.mp4", video=None)

    assert probe_video(path) == StreamFacts(is_decodable=False, error="no_video")
    assert probe_audio(path).is_decodable


@pytest.mark.parametrize(
    ("container", "codec", "name"),
    [
        ("ipod", "aac", "aac"),
        ("mp4", "aac", "aac"),
        ("mp3", "libmp3lame", "mp3"),
        ("adts", "aac", "aac"),
        ("ogg", "libopus", "opus"),
    ],
)
def test_a_sound_is_measured(tmp_path, make_video, container, codec, name):
    """In the containers that sites use; the pictures' fields stay empty."""
    facts = probe_audio(make_video(tmp_path / "sound", video=None, audio=codec, container=container))

    assert facts.is_decodable
    assert facts.codecs == name
    assert facts.duration_s == pytest.approx(2, abs=0.5)
    assert (facts.width, facts.height, facts.fps, facts.phash) == (None, None, None, None)


def test_a_silent_video_has_no_sound(tmp_path, make_video):
    """A video without an audio stream cannot stand for the audio."""
    assert probe_audio(make_video(tmp_path / "silent", audio=None)).error == "no_audio"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"<html>Log in</html>",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        bytes(4096),
    ],
)
def test_what_is_no_known_media_is_not_opened(tmp_path, data):
    """No playlist gets a chance to name another file."""
    path = kept(tmp_path / "clip.mp4", data)

    assert probe_video(path) == probe_audio(path) == StreamFacts(is_decodable=False, error="unknown_type")
    assert probe_cover(path) == CoverFacts(is_decodable=False, error="unknown_type")


def test_a_playlist_behind_a_videos_first_bytes_is_broken(tmp_path):
    """The demuxer is chosen by us: FFmpeg does not go on guessing."""
    path = kept(tmp_path / "clip.mp4", b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")

    assert probe_video(path) == StreamFacts(is_decodable=False, error="broken")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_a_probe_raise(clip, tmp_path, data):
    """A clip with some bytes changed is decodable or not, and that is all that happens."""
    hostile = bytearray(clip.read_bytes())
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, 4000) | st.integers(0, len(hostile) - 1), st.integers(0, 255)))
    ):
        hostile[at] = byte
    path = kept(tmp_path / "hostile", bytes(hostile))

    for facts in (probe_video(path), probe_audio(path), probe_cover(path)):
        assert facts.is_decodable == (facts.error is None)


@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP"]), st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255))))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_a_cover_raise(tmp_path, noise, image_format, changes):
    """Pillow's dozen exception types all end in `broken`."""
    path = tmp_path / "cover"
    Image.fromarray(noise(3)).save(path, image_format)
    hostile = bytearray(path.read_bytes())
    for at, byte in changes:
        hostile[at % len(hostile)] = byte

    facts = probe_cover(kept(path, bytes(hostile)))

    assert facts.is_decodable == (facts.error is None)


def test_a_probe_is_quick(clip):
    """Far below what starting an ffprobe costs; the best of five, as the machine is shared."""
    spent = []
    for _ in range(5):
        started = time.perf_counter()
        probe_video(clip)
        spent.append(time.perf_counter() - started)

    assert min(spent) < 0.1


def test_every_real_clip_is_decodable():
    """H.264, HEVC, AAC and MP3 from the field, in MP4 and Matroska."""
    if not REAL.is_dir():
        pytest.skip(f"no real clips at {REAL}")
    clips = [path for path in sorted(REAL.glob("*/*")) if path.suffix in {".mp4", ".mkv"}]
    facts = {path.name: probe_video(path) for path in clips}

    assert len(facts) > 20
    assert not [name for name, each in facts.items() if not each.is_decodable]
    assert all(each.duration_s > 1 and each.width >= 320 and each.fps >= 10 for each in facts.values())
    assert {each.codecs for each in facts.values()} >= {"h264", "h264,aac", "hevc,aac", "h264,mp3"}

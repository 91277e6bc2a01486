"""The frames of a clip are those that were asked for, and what is broken is told by one word."""

import struct

import av
import numpy as np
import pytest
from PIL import Image

from microlens.clips import Framing, UnreadableMediaError, frame_numbers, read_clip, read_cover

SIDE = 48
STEP = 5
"""Of grey, from one frame to the next: more than a lossy codec moves it."""


def grey_video(path, count, *, codec="libx264", container="mp4", options=None):
    """Frame n is grey of level n * STEP."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=25, options=options or {"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, SIDE, "yuv420p"
        for number in range(count):
            picture = np.full((SIDE, 64, 3), number * STEP, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


def numbers_of(clip):
    """Which frame of a grey video each frame is."""
    return [round(float(frame.mean()) / STEP) for frame in clip]


@pytest.mark.parametrize(
    ("count", "frames", "stride", "expected"),
    [
        (100, 5, 1, [50, 51, 52, 53, 54]),
        (101, 4, 4, [50, 54, 58, 62]),
        (9, 5, 1, [4, 5, 6, 7, 8]),
        (8, 5, 1, [3, 4, 5, 6, 7]),
        (20, 4, 4, [7, 11, 15, 19]),
        (10, 4, 4, [0, 3, 6, 9]),
        (3, 5, 2, [0, 1, 2, 2, 2]),
        (1, 3, 1, [0, 0, 0]),
        (6, 1, 4, [3]),
    ],
)
def test_a_clip_begins_in_the_middle(count, frames, stride, expected):
    """From frame N // 2 on; earlier, denser, and at last with repeats, where a video is too short for that."""
    assert expected == frame_numbers(count, frames, stride)


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "libx264", {"crf": "4", "g": "7", "bf": "3"}),
        ("mp4", "libx264", {"crf": "4", "g": "250"}),
        ("mp4", "libx264", {"crf": "4", "g": "9", "x264-params": "open-gop=1:bframes=3"}),
        ("matroska", "libx264", {"crf": "4", "g": "7", "bf": "3"}),
        ("mpegts", "libx264", {"crf": "4", "g": "7", "bf": "2"}),
        ("webm", "libvpx-vp9", {"crf": "4", "b:v": "0", "g": "11"}),
    ],
)
@pytest.mark.parametrize("stride", [1, 4])
def test_the_frames_are_those(tmp_path, container, codec, options, stride):
    """Whatever the container, wherever its keyframes are, and in whatever order its frames are stored."""
    path = grey_video(tmp_path / "grey", 40, codec=codec, container=container, options=options)
    clip = read_clip(path, Framing(16), frames=5, stride=stride)

    assert (5, 16, 16, 3) == clip.shape
    assert frame_numbers(40, 5, stride) == numbers_of(clip)


def test_a_short_video_repeats_its_last_frame(tmp_path):
    """Three frames give a clip of five."""
    clip = read_clip(grey_video(tmp_path / "grey.mp4", 3), Framing(16), frames=5, stride=1)

    assert [0, 1, 2, 2, 2] == numbers_of(clip)


def test_a_turned_video_is_shown_upright(tmp_path):
    """A telephone writes frames as its sensor lies, and the angle beside them."""
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[:, : SIDE // 2] = 255  # white on the left
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    body = path.read_bytes()
    straight = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, SIDE << 16, 0, 1 << 30)
    at = body.index(straight, body.index(b"tkhd"))
    path.write_bytes(body[:at] + clockwise + body[at + len(straight) :])
    shown = read_clip(path, Framing(16), frames=1)[0].astype(int)

    assert shown[:6].mean() > 200  # a quarter turn clockwise brings left to the top
    assert shown[-6:].mean() < 50


def test_a_picture_is_scaled_without_a_cut():
    """Both sides are scaled: what is on the left edge stays on it."""
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, :25] = 255
    small = Framing(20).apply(Image.fromarray(picture))

    assert (20, 20, 3) == small.shape
    assert 255 == small[:, :4].min()
    assert 0 == small[:, 6:].max()


def test_a_picture_is_cut_to_its_middle():
    """The shorter side is scaled, the longer one loses both its ends."""
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 26:74] = 255

    assert 255 == Framing(20, 20).apply(Image.fromarray(picture)).min()
    assert 0 == Framing(20, 20).apply(Image.fromarray(255 - picture)).max()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "unknown_type"),
        (b"<!doctype html><p>log in", "unknown_type"),
        (b"#EXTM3U\nfile:///etc/hosts\n", "unknown_type"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 500, "broken"),
        (b"\xff\xd8\xff" + b"\0" * 500, "unknown_type"),
    ],
)
def test_no_video_is_told_by_a_word(tmp_path, body, reason):
    """A page, a playlist, a picture or junk in the place of a video is not guessed at."""
    (tmp_path / "1.mp4").write_bytes(body)
    with pytest.raises(UnreadableMediaError, match=r"1\.mp4") as caught:
        read_clip(tmp_path / "1.mp4", Framing(), frames=2)

    assert reason == caught.value.reason


def test_a_video_that_is_cut_off_is_broken(tmp_path):
    """Half of its bytes, and the index at their end is gone."""
    body = grey_video(tmp_path / "whole.mp4", 30).read_bytes()
    (tmp_path / "half.mp4").write_bytes(body[: len(body) // 2])
    with pytest.raises(UnreadableMediaError) as caught:
        read_clip(tmp_path / "half.mp4", Framing(), frames=2)

    assert "broken" == caught.value.reason


def test_a_cover_that_cannot_be_read_is_told_by_a_word(tmp_path):
    """Truncated, missing, of another kind, or as large as a bomb."""
    Image.effect_noise((64, 64), 80).save(tmp_path / "1.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "1.png").read_bytes()[:900])
    (tmp_path / "text.png").write_text("no picture at all")
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    found = {}
    for name in ("half", "text", "bomb", "nowhere"):
        with pytest.raises(UnreadableMediaError) as caught:
            read_cover(tmp_path / f"{name}.png", Framing())
        found[name] = caught.value.reason

    assert {"half": "broken", "text": "unknown_type", "bomb": "too_many_pixels", "nowhere": "missing_file"} == found

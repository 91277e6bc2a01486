"""Frames that stand for a video: a copy has them too, however it was encoded and wherever it was cut."""

import av
import numpy as np
import pytest
from PIL import Image

from download_nodes import frames
from download_nodes.fingerprint import phash_hex
from download_nodes.probe import probe_video
from filtering.likeness import Looks, find_alike

RATE = 25
HEIGHT, WIDTH = 160, 240


def moving(seed, noise, seconds=8):
    """A camera that goes over a landscape while the light changes every half second or so; no cut, no scene."""
    count = seconds * RATE
    pictures = [Image.fromarray(noise(100 * seed + number)) for number in range(2 + count // 3 // WIDTH)]
    landscape = np.hstack([picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for picture in pictures])
    light = np.convolve(np.random.default_rng(seed).normal(0, 1, count + 11), np.hanning(12), "valid")
    light = (light - light.min()) / (light.max() - light.min())
    return [
        (landscape[:, left : left + WIDTH] * (0.5 + share / 2)).astype(np.uint8)
        for left, share in zip(np.arange(count) // 3, light, strict=True)
    ]


def encoded(path, pictures, *, codec="libx264", scale=1.0, container="mp4", rate=RATE, **options):
    """The only keyframe is the first, as far as the encoder has its way."""
    height, width = int(HEIGHT * scale), int(WIDTH * scale)
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, width=width, height=height, pix_fmt="yuv420p", options=options)
        for picture in pictures:
            small = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
        out.mux(stream.encode())
    return path


def looks(path):
    facts = probe_video(path)

    assert facts.is_decodable
    return Looks(path.name, 0, facts.duration_s, facts.frame_hashes, facts.phash)


def are_alike(*paths):
    return any(find_alike([looks(path) for path in paths], 15))


@pytest.fixture(scope="module")
def original(tmp_path_factory, noise):
    return encoded(tmp_path_factory.mktemp("original") / "clip", moving(1, noise), crf="20")


@pytest.mark.parametrize(
    "style",
    [
        {"crf": "26", "scale": 0.5},
        {"codec": "mpeg4", "b": "600000"},
        {"crf": "28", "bf": "0", "g": "20", "container": "mpegts"},
    ],
    ids=["half size", "MPEG-4", "transport stream"],
)
def test_a_video_encoded_again_is_recognised(tmp_path, noise, original, style):
    """Smaller, by another encoder, and in another container."""
    assert are_alike(original, encoded(tmp_path / "copy", moving(1, noise), **style))


@pytest.mark.parametrize(("first", "last"), [(0.1, 1), (0.2, 1), (0, 0.8), (0.1, 0.9)])
def test_a_video_cut_short_is_recognised(tmp_path, noise, original, first, last):
    """Wherever it was cut, and encoded again from there."""
    pictures = moving(1, noise)
    kept = pictures[int(first * len(pictures)) : int(last * len(pictures))]

    assert are_alike(original, encoded(tmp_path / "copy", kept, scale=0.75))


def test_a_long_video_cut_at_the_start_is_recognised(tmp_path, noise):
    """Of 40 s only the middle 20 s are searched, and those of the copy are others, but not all."""
    pictures = moving(2, noise, 40)
    whole = encoded(tmp_path / "whole", pictures, preset="veryfast")

    assert are_alike(whole, encoded(tmp_path / "copy", pictures[4 * RATE :], preset="veryfast", scale=0.5))


def test_other_videos_are_not_alike(tmp_path, noise, original):
    """Nor are the two halves of one, although they show the same landscape."""
    other = encoded(tmp_path / "other", moving(2, noise))
    pictures = moving(1, noise)
    halves = [
        encoded(tmp_path / "first", pictures[: len(pictures) // 2]),
        encoded(tmp_path / "second", pictures[len(pictures) // 2 :]),
    ]

    assert not are_alike(original, other)
    assert not are_alike(*halves)


def test_a_still_has_one_picture(tmp_path, noise):
    """What an encoder makes of it from frame to frame are no turns that tell anything."""
    path = encoded(tmp_path / "still", [noise(1, HEIGHT, WIDTH)] * (4 * RATE), crf="30", g="20")
    first, *others = (int(digest, 16) for digest in probe_video(path).frame_hashes)

    assert others
    assert all((first ^ other).bit_count() <= 15 for other in others)


def test_light_alone_gives_no_hash(tmp_path):
    """Brightness turns again and again, but there is nothing to be seen."""
    levels = 128 + 100 * np.sin(np.arange(4 * RATE) / 5)
    path = encoded(tmp_path / "light", [np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in levels])

    assert probe_video(path).frame_hashes == ()


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("seconds", [1, 4, 12])
def test_of_a_short_clip_frames_are_hashed_in_order_of_time(tmp_path, noise, keyed, container, seconds):
    """Up to 16, and of every picture (here one a second) at least one."""
    path = keyed(tmp_path / "clip", noise, seconds, container)
    hashes = probe_video(path).frame_hashes
    at = [closest(digest, noise, seconds) for digest in hashes]

    assert len(hashes) <= 16
    assert at == sorted(at)
    assert set(at) == set(range(seconds))


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_of_a_long_clip_the_middle_is_hashed(tmp_path, noise, keyed, container):
    """Where there is enough to be seen in its middle 20 s, all hashes are of them."""
    path = keyed(tmp_path / "clip", noise, 60, container)
    at = [closest(digest, noise, 60) for digest in probe_video(path).frame_hashes]

    assert len(at) == 16
    assert at == sorted(set(at))
    assert at[0] >= 20
    assert at[-1] <= 41


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_of_a_long_clip_that_stands_still_keyframes_are_hashed(tmp_path, noise, keyed, container):
    """Each shows another picture than the last: here there is one for every tenth of a clip, and all are found."""
    path = keyed(tmp_path / "clip", lambda second: noise(second // 10), 100, container)
    at = [closest(digest, noise, 10) for digest in probe_video(path).frame_hashes]

    assert len(at) <= 16
    assert at == sorted(at)
    assert set(at) == set(range(10))


def closest(digest, noise, seconds):
    """The second whose picture has this hash, or nearly."""
    distances = [(int(digest, 16) ^ int(phash_hex(noise(number)), 16)).bit_count() for number in range(seconds)]

    assert min(distances) < 40
    return int(np.argmin(distances))


def test_flat_frames_are_left_out(tmp_path, keyed):
    """A black clip has frames that decode, and no hash at all."""
    path = keyed(tmp_path / "clip", lambda _: np.zeros((72, 96, 3), np.uint8), 3, "mp4")
    facts = probe_video(path)

    assert facts.is_decodable
    assert facts.frame_hashes == ()
    assert facts.phash is None


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_video_has_the_hashes_of_what_decodes(tmp_path, noise, container, seed):
    """A tenth of its bytes overwritten here and there raises nothing."""
    path = encoded(tmp_path / "clip", moving(3, noise, 4), container=container, g="10")
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    random = np.random.default_rng(seed)
    for at in random.integers(len(data) // 4, len(data) * 3 // 4, 5):
        data[at : at + len(data) // 50] = random.integers(0, 256, len(data[at : at + len(data) // 50]))
    path.write_bytes(data.tobytes())

    assert len(probe_video(path).frame_hashes) <= frames.FRAMES


@pytest.mark.parametrize(("codec", "rate"), [("libx264", 600), ("rawvideo", 25)])
def test_no_video_costs_more_than_some_frames(tmp_path, noise, monkeypatch, codec, rate):
    """Of many frames a second, and of many bytes a frame: what is read for the hashes ends in good time."""
    read = []

    def counted(*arguments):
        for packet in real_packets(*arguments):
            read.append(packet.size)
            yield packet

    real_packets = frames.packets
    monkeypatch.setattr(frames, "packets", counted)
    monkeypatch.setattr(frames, "SEARCHED_PIXELS", 100 * frames.LEAST_PIXELS)
    pictures = moving(4, noise, 2) * 12
    path = encoded(tmp_path / "clip", pictures, codec=codec, container="matroska", rate=rate)

    assert probe_video(path).frame_hashes
    assert frames.FRAMES < len(read) <= 100 + 1 + frames.FRAMES
    assert sum(sorted(read)[: -frames.FRAMES]) <= 100 * frames.LEAST_PIXELS / frames.PIXELS_A_BYTE

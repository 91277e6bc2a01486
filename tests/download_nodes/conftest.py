"""Small real media, made on the spot, and a run to download them into."""

import av
import numpy as np
import pytest
from PIL import Image

from microlens.embedded import redis_server
from tests.crawler.site import Site
from tests.download_nodes.desk import Desk


def _noise(seed, height=72, width=96):
    """A picture with large and small forms, as photographs have."""
    random = np.random.default_rng(seed)
    layers = [
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for side in (8, 32)
    ]
    return np.asarray(Image.blend(*layers, 0.5))


def _make_cover(path, picture=None, **options):
    Image.fromarray(_noise(1) if picture is None else picture).save(path, **options)
    return path


def _make_video(path, *, seconds=2, rate=25, video="libx264", audio="aac", container="mp4", options=None):
    """Moving noise with a tone; `video=None` or `audio=None` leaves that stream out."""
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        pictures = out.add_stream(video, rate=rate, width=96, height=72, pix_fmt="yuv420p") if video else None
        sound = out.add_stream(audio, rate=48_000, layout="mono") if audio else None
        for number in range(seconds * rate):
            if pictures:
                out.mux(pictures.encode(av.VideoFrame.from_ndarray(_noise(number), format="rgb24")))
            if sound:
                out.mux(sound.encode(_tone(number, 48_000 // rate)))
        for stream in (pictures, sound):
            if stream:
                out.mux(stream.encode())
    return path


def _keyed(path, picture_of, seconds, container):
    """Five frames a second; each second has a picture of its own, and begins with a keyframe."""
    options = {"g": "5", "keyint_min": "5", "sc_threshold": "0"}
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream("libx264", rate=5, width=96, height=72, pix_fmt="yuv420p", options=options)
        for number in range(seconds * 5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number // 5), format="rgb24")))
        out.mux(stream.encode())
    return path


def _tone(number, samples):
    wave = np.sin(np.arange(number * samples, (number + 1) * samples) / 20).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.rate, frame.pts = 48_000, number * samples
    return frame


@pytest.fixture(scope="session")
def noise():
    return _noise


@pytest.fixture(scope="session")
def make_cover():
    return _make_cover


@pytest.fixture(scope="session")
def make_video():
    return _make_video


@pytest.fixture(scope="session")
def keyed():
    return _keyed


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Two seconds of H.264 and AAC, its index at the front as sites serve it."""
    return _make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", options={"movflags": "faststart"})


@pytest.fixture(scope="session")
def redis_url():
    with redis_server(None) as url:
        yield url


@pytest.fixture
def site():
    with Site() as running:
        yield running


@pytest.fixture
def desk(tmp_path, site, redis_url):
    """A run, its site and its frontier, and a node to work on them."""
    made = Desk(tmp_path, site, redis_url)
    yield made
    made.close()

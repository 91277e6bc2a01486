"""What a topic looks like: its hue and pattern over a composition that is every video's own."""

from __future__ import annotations

import colorsys
import io
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sandbox.topics import Topic

COVER_WIDTH, COVER_HEIGHT = 240, 320
CLIP_WIDTH, CLIP_HEIGHT = 128, 96
_JPEG_QUALITY = 85
_COVER_NOISE = 10
_RGB_TO_YUV = np.array([[0.257, 0.504, 0.098], [-0.148, -0.291, 0.439], [0.439, -0.368, -0.071]])
_YUV_ZERO = np.array([16.0, 128.0, 128.0])
_FLAT_HUE_STEP = 0.5
_SCENE_FRAMES = 3, 6
"""Fewest, and one more than most."""
_TEXTURE = 28
"""Levels of tone: what is in one scene and not in the next."""
_SWELL = 12
"""Levels of luma by which a scene is brighter in its middle."""


def make_cover(rng: np.random.Generator, topic: Topic, flat_share: float) -> bytes:
    """Draw a JPEG whose upper `flat_share` is one colour that the rest of the picture does not have."""
    tones = _tones(rng, topic, COVER_WIDTH, COVER_HEIGHT)
    pixels = _palette(rng, topic)[tones] + rng.integers(-_COVER_NOISE, _COVER_NOISE + 1, (*tones.shape, 1))
    pixels[: round(flat_share * COVER_HEIGHT)] = _hsv(topic.hue + _FLAT_HUE_STEP, 0.85, 0.95)
    held = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(held, "JPEG", quality=_JPEG_QUALITY)
    return held.getvalue()


def make_frames(
    rng: np.random.Generator, topic: Topic, count: int, noise: int
) -> tuple[Iterator[NDArray[np.uint8]], list[int]]:
    """Make planar YUV 4:2:0 frames (height * 3 / 2, width), and say which of them begin a scene."""
    ends = np.cumsum(rng.integers(*_SCENE_FRAMES, count))
    cuts = [0, *ends[ends < count].tolist()]
    return _draw_frames(rng, topic, [*cuts, count], noise), cuts


def _draw_frames(rng: np.random.Generator, topic: Topic, cuts: list[int], noise: int) -> Iterator[NDArray[np.uint8]]:
    """Each scene has another part of the picture and a texture of its own, drifts and brightens; the grain flickers."""
    tones = _tones(rng, topic, CLIP_WIDTH, CLIP_HEIGHT)
    luma, *chroma = (_palette(rng, topic) @ _RGB_TO_YUV.T + _YUV_ZERO).T
    right, down = int(rng.integers(1, 4)), int(rng.integers(0, 3))
    for start, end in pairwise(cuts):
        texture = Image.fromarray(rng.normal(0, _TEXTURE, (12, 16)).astype(np.float32))
        blurred = np.asarray(texture.resize((CLIP_WIDTH, CLIP_HEIGHT), Image.Resampling.BICUBIC))
        turned = np.roll(tones, rng.integers(0, CLIP_WIDTH, 2), (0, 1)) + blurred
        turned = turned.clip(0, 255).astype(np.uint8)
        for age in range(end - start):
            moved = np.roll(turned, (age * down, age * right), (0, 1))
            grain = rng.integers(0, noise, moved.shape) - noise / 2 + _SWELL * np.sin(np.pi * age / (end - start))
            planes = [luma[moved] + grain, *(plane[moved[::2, ::2]] for plane in chroma)]
            flat = np.concatenate([plane.ravel() for plane in planes]).clip(0, 255).astype(np.uint8)
            yield flat.reshape(CLIP_HEIGHT * 3 // 2, CLIP_WIDTH)


def _hsv(hue: float, saturation: float, value: float) -> NDArray[np.float64]:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _palette(rng: np.random.Generator, topic: Topic) -> NDArray[np.float64]:
    """Lay out 256 tones of the topic's hue, dark to bright."""
    hue = topic.hue + rng.uniform(-0.012, 0.012)
    dark, bright = _hsv(hue, 0.95, 0.2), _hsv(hue, 0.5, 1.0)
    mix = np.linspace(0, 1, 256)[:, None]
    return np.asarray(dark * (1 - mix) + bright * mix)


def _tones(rng: np.random.Generator, topic: Topic, width: int, height: int) -> NDArray[np.uint8]:
    """Mix the topic's pattern with soft random blobs, which make two videos of one topic differ."""
    grid = rng.normal(0, 1, (5, 4)).astype(np.float32)
    blobs = np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[0:height, 0:width] / width
    mixed = 0.25 * np.tanh(blobs * 1.5) + 0.25 * _pattern(rng, topic.pattern, x, y) + 0.5
    return (255 * mixed.clip(0, 1)).astype(np.uint8)


def _pattern(
    rng: np.random.Generator, name: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give values of -1 to 1 over a picture one unit wide."""
    turn = 2 * np.pi * rng.uniform(5, 7)
    shift = rng.uniform(0, 2 * np.pi)
    if name == "stripes":
        return np.asarray(np.sin(turn * (x + y) + shift))
    if name == "rings":
        return np.asarray(np.sin(turn * np.hypot(x - rng.uniform(0.3, 0.7), y - rng.uniform(0.3, 0.9)) + shift))
    if name == "checks":
        return np.asarray(np.tanh(4 * np.sin(turn * x + shift) * np.sin(turn * y + shift)))
    if name == "dots":
        return np.asarray(2 * ((np.sin(turn * x + shift) * np.sin(turn * y + shift)) ** 2) - 1)
    return np.asarray(np.sin(turn * y + 2 * np.sin(turn * x / 2 + shift)))

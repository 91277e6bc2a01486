"""Covers, small pictures and videos to be fetched: seeded, no two the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_COVER = 640, 360
_QUALITY = 85
_NOISE_LEVELS = 8.0
_SMALL = 48, 32


def make_covers(folder: Path, count: int) -> list[str]:
    """JPEGs of 640 by 360 pixels and about 45 KB: slow gradients, shapes and a camera's noise. Gives their names."""
    return _make(folder, count, _COVER)


def make_small(folder: Path, count: int) -> list[str]:
    """JPEGs of 1 to 2 KB."""
    return _make(folder, count, _SMALL)


def _make(folder: Path, count: int, size: tuple[int, int]) -> list[str]:
    generator = np.random.default_rng(0)
    width, height = size
    # Noise is dear to draw: every picture has another piece of one large sheet.
    sheet = generator.normal(0, _NOISE_LEVELS, (2 * height, 2 * width, 3)).astype(np.float32)
    names = []
    for number in range(count):
        top, left = int(generator.integers(height)), int(generator.integers(width))
        picture = _scene(generator, width, height) + sheet[top : top + height, left : left + width]
        names.append(f"{number}.jpg")
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / names[-1], quality=_QUALITY)
    return names


def _scene(generator: np.random.Generator, width: int, height: int) -> npt.NDArray[np.float32]:
    """Two colours that run into each other, and some rectangles of other colours before them."""
    across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    left, right, below = generator.uniform(0, 200, (3, 3)).astype(np.float32)
    scene: npt.NDArray[np.float32] = left * (1 - across) + right * across + 0.25 * below * down
    for _ in range(12):
        top, start = int(generator.integers(height)), int(generator.integers(width))
        scene[top : top + height // 4, start : start + width // 6] = generator.uniform(0, 255, 3)
    return scene

"""Two numbers from a picture: how much of it is one colour, and a hash that similar pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

THUMBNAIL = 64
"""Pixels a side of the thumbnail that both look at, whatever the picture's shape."""
LEVELS_PER_CELL = 8
CELLS = 256 // LEVELS_PER_CELL
MIN_HASH_QUALITY = 10
"""A picture of less `hash_quality` has no hash: its bits would be chance, and unrelated ones would match."""
CUBE_CELLS = 6
"""One colour may spread over 48 of 256 levels in each channel: what JPEG makes of a flat area stays inside."""


def dominant_share(image: Image.Image) -> float:
    """Tell the share of a picture that has its commonest colour: 1.0 for a flat one.

    The picture is averaged down to 64 by 64 RGB pixels (box filter). The RGB cube is cut into 32 by 32 by 32 cells
    of 8 levels. "One colour" is any cube of 6 by 6 by 6 cells, 48 levels a side; the commonest colour is the one that
    holds most pixels, and the answer is its pixels over 4096. As the cubes overlap, no colour is split by a border,
    and painting more pixels in the commonest colour never lowers the share.
    """
    thumbnail = np.asarray(image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    red, green, blue = np.moveaxis(thumbnail.astype(np.int64) // LEVELS_PER_CELL, -1, 0)
    counts = np.bincount(((red * CELLS + green) * CELLS + blue).ravel(), minlength=CELLS**3)
    cubes = counts.reshape(CELLS, CELLS, CELLS)
    for axis in range(3):
        cubes = _sliding_sum(cubes, axis)
    return float(cubes.max()) / THUMBNAIL**2


def phash_hex(image_rgb: npt.NDArray[np.uint8]) -> str | None:
    """Hash an RGB picture (height, width, 3) to 256 bits, as 64 hexadecimal digits; None if it is too flat to have one.

    Made as PDQ makes its bits: luma at 64 by 64, DCT, the 16 by 16 lowest frequencies without the constant ones, each
    against their median; without PDQ's own blur, so not comparable with PDQ hashes of other programs. Similar pictures
    differ in few bits; unrelated ones in about 128. Too flat: `hash_quality` below `MIN_HASH_QUALITY`.
    """
    small = _small_luma(image_rgb)
    if hash_quality(small) < MIN_HASH_QUALITY:
        return None
    lowest = np.asarray(cv2.dct(small.astype(np.float32)))[1:17, 1:17]
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def hash_quality(luma: npt.NDArray[np.uint8]) -> int:
    """PDQ's measure of how much there is to hash in a 64 by 64 luma thumbnail: 0 (nothing) to 100.

    Between every two neighbours, in rows and in columns, the difference in whole percent of the full range (rounded
    towards zero, so that noise of up to 2 levels of 255 counts for nothing); their sum over 90, at most 100.
    """
    levels = luma.astype(np.int32) * 100
    down, across = (np.abs(np.diff(levels, axis=axis)) // 255 for axis in (0, 1))
    return min(100, int(down.sum() + across.sum()) // 90)


def _small_luma(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    luma = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _sliding_sum(counts: npt.NDArray[np.int64], axis: int) -> npt.NDArray[np.int64]:
    """Sum every `CUBE_CELLS` neighbouring cells along an axis."""
    pad = [(1, 0) if each == axis else (0, 0) for each in range(3)]
    total = np.pad(counts, pad).cumsum(axis)
    upper = np.take(total, range(CUBE_CELLS, CELLS + 1), axis)
    lower = np.take(total, range(CELLS + 1 - CUBE_CELLS), axis)
    return np.asarray(upper - lower, dtype=np.int64)

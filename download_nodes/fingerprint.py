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
MIN_HASH_QUALITY = 4.0
"""Levels of luma; a picture of less `hash_quality` has no hash.

Frames of real clips have 11 to 67. What is blank, a gradient, stripes or mere noise has less than 2: there
recompressing changes a hundred bits, and unrelated pictures match.
"""


def dominant_share(image: Image.Image) -> float:
    """Tell the share of a picture that has its commonest colour: 1.0 for a flat one.

    The picture is averaged down to 64 by 64 RGB pixels (box filter). The RGB cube is cut into 32 by 32 by 32 cells
    of 8 levels. "One colour" is any cube of 6 by 6 by 6 cells, 48 levels a side; the commonest colour is the one that
    holds most pixels, and the answer is its pixels over 4096. As the cubes overlap, no colour is split by a border,
    and painting more pixels in the commonest colour never lowers the share.
    """
    thumbnail = np.asarray(image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    red, green, blue = np.moveaxis(thumbnail.astype(np.int32) // LEVELS_PER_CELL, -1, 0)
    counts = np.bincount(((red * CELLS + green) * CELLS + blue).ravel(), minlength=CELLS**3)
    # 4096 pixels fit into 16 bits, and the cube into the processor's nearest cache.
    cubes = counts.astype(np.uint16).reshape(CELLS, CELLS, CELLS)
    for _ in range(3):
        cubes = _sliding_sum(cubes)
    return float(cubes.max()) / THUMBNAIL**2


def phash_hex(image_rgb: npt.NDArray[np.uint8]) -> str | None:
    """Hash an RGB picture (height, width, 3) to 256 bits, as 64 hexadecimal digits; None if it is too flat to have one.

    Made as PDQ makes its bits: each of `low_frequencies` against their median; without PDQ's own blur, so not
    comparable with PDQ hashes of other programs. Similar pictures differ in few bits; unrelated ones in about 128.
    Too flat: `hash_quality` below `MIN_HASH_QUALITY`.
    """
    return phash_of_luma(luma_thumbnail(image_rgb))


def luma_thumbnail(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Average the luma (BT.601) of an RGB picture down to `THUMBNAIL` rows and columns."""
    luma = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(luma, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def phash_of_luma(thumbnail: npt.NDArray[np.uint8]) -> str | None:
    """As `phash_hex`, of a `luma_thumbnail`, however it was made."""
    lowest = low_frequencies(thumbnail)
    if hash_quality(lowest) < MIN_HASH_QUALITY:
        return None
    return np.packbits(lowest > np.median(lowest)).tobytes().hex()


def low_frequencies(thumbnail: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Transform a thumbnail of luma (64, 64) by an orthonormal DCT.

    Gives rows and columns 1 to 16 of it, (16, 16): the lowest frequencies without those constant in a direction.
    """
    return np.asarray(cv2.dct(thumbnail.astype(np.float32))[1:17, 1:17], dtype=np.float32)


def hash_quality(lowest: npt.NDArray[np.float32]) -> float:
    """Tell how sure a hash's bits are: the median magnitude of the 256 `low_frequencies`, in levels of luma (0 to 255).

    It stands where PDQ has its sum of gradients, which calls stripes and gradients good although all their frequencies
    that are hashed are nothing but rounding. An orthonormal DCT keeps noise as large as it is in the 64 by 64 pixels,
    so half of the bits are as far from chance as this is above their noise: 0.3 by rounding, 1 to 2 by JPEG.
    """
    return float(np.median(np.abs(lowest)))


def _sliding_sum(counts: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Sum every six neighbouring cells along the first axis, which becomes the last.

    So one colour may spread over 48 of 256 levels in each channel: what JPEG makes of a flat area stays inside.
    """
    pairs = counts[:-1] + counts[1:]
    sums = pairs[:-4] + pairs[2:-2] + pairs[4:]
    return np.ascontiguousarray(np.moveaxis(sums, 0, -1))

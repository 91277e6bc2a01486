"""What a cover holds, read from its bytes: its size, how much of it is one colour, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
from PIL import Image

from download_nodes.fingerprint import THUMBNAIL, dominant_share, phash_hex
from microlens.containers import MAX_PIXELS
from microlens.sniff import IMAGE_FORMATS, mime_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DRAWN = 160
"""Pixels of the longer side of what is drawn for people to look at."""
_ENOUGH = 4 * THUMBNAIL
"""Pixels of the shorter side from which both numbers come out the same as from more."""
_PLAIN_MODES = {"L", "RGB", "RGBA", "CMYK", "YCbCr"}
"""In which the mean of pixels is a pixel; not so with palettes."""

# A picture is small: handing its rows to threads costs more than it saves.
cv2.setNumThreads(1)


@dataclass(frozen=True, slots=True)
class CoverFacts:
    is_decodable: bool
    error: str | None = None
    """`unknown_type`, `too_many_pixels`, `decoder_memory` or `broken`."""
    width: int | None = None
    height: int | None = None
    dominant_share: float | None = None
    phash: str | None = None


def probe_cover(path: Path, mime: str | None = None) -> CoverFacts:
    """Measure a picture of this type (by its bytes, if none is given); never raises on what they hold.

    What cannot be read has `is_decodable=False` and a word in `error`. Of several frames the first counts.
    """
    return _read_safely(path, mime, _measured)


def draw_thumbnail(path: Path, into: BinaryIO) -> str | None:
    """Write a small JPEG of a picture into an empty file; gives the word of `CoverFacts.error` if it cannot be read.

    At most `DRAWN` pixels a side. Nothing of the file but its pixels is in it: no comment, no profile, no EXIF.
    """

    def drawn(picture: Image.Image, width: int, height: int) -> CoverFacts:
        picture.thumbnail((DRAWN, DRAWN))
        Image.frombytes(picture.mode, picture.size, picture.tobytes()).save(into, "JPEG", quality=75)
        return CoverFacts(is_decodable=True, width=width, height=height)

    return _read_safely(path, None, drawn).error


def _read_safely(path: Path, mime: str | None, look: Callable[[Image.Image, int, int], CoverFacts]) -> CoverFacts:
    """Have a look at a picture, in RGB and made smaller, with its own width and height."""
    image_format = IMAGE_FORMATS.get(mime or mime_of(path))
    if image_format is None:
        return CoverFacts(is_decodable=False, error="unknown_type")
    try:
        return _read(path, image_format, look)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return CoverFacts(is_decodable=False, error="too_many_pixels")
    except MemoryError:
        return CoverFacts(is_decodable=False, error="decoder_memory")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise a dozen types on hostile bytes, SyntaxError among them
        return CoverFacts(is_decodable=False, error="broken")


def _read(path: Path, image_format: str, look: Callable[[Image.Image, int, int], CoverFacts]) -> CoverFacts:
    with Image.open(path, formats=[image_format]) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            return CoverFacts(is_decodable=False, error="too_many_pixels", width=width, height=height)
        # JPEG alone can decode at an eighth of its size, which is most of a probe's time saved.
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))
        # Others are averaged down before they are copied: a picture of 40 megapixels takes 160 MB as it is.
        factor = min(image.size) // _ENOUGH if image.mode in _PLAIN_MODES else 1
        picture = (image.reduce(factor) if factor > 1 else image).convert("RGB")
    return look(picture, width, height)


def _measured(picture: Image.Image, width: int, height: int) -> CoverFacts:
    return CoverFacts(
        is_decodable=True,
        width=width,
        height=height,
        dominant_share=dominant_share(picture),
        phash=phash_hex(np.asarray(picture)),
    )

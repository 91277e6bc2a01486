"""Covers and clips of a release, as the pixels that an encoder takes.

T frames, S pixels a side. What cannot be read raises `UnreadableMediaError` with one word: a release's files were
checked when they were fetched, but disks and downloads lose bits, and a release may be another's.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from microlens.containers import (
    MAX_PIXELS,
    decoded_frames,
    demuxer_of,
    is_memory,
    open_container,
    packets,
    seek_keyframe,
    start_s,
)
from microlens.errors import CorruptDataError
from microlens.sniff import IMAGE_FORMATS, mime_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_QUARTER_TURN = 90


class UnreadableMediaError(CorruptDataError):
    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be decoded: {reason}", hint="get the release again, or build it again")
        self.reason = reason
        """`missing_file`, `unknown_type`, `no_video`, `too_many_pixels`, `decoder_memory` or `broken`."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a picture of any size becomes one of `side` by `side` pixels."""

    side: int = 224
    shortest: int | None = None
    """The shorter side is scaled to so many pixels, then the middle is cut out; None: both are scaled to `side`."""
    resample: int = int(Image.Resampling.BILINEAR)
    """A number of Pillow's `Resampling`."""

    def apply(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Give (S, S, 3), red, green and blue."""
        method = Image.Resampling(self.resample)
        if self.shortest is None:
            return np.asarray(picture.resize((self.side, self.side), method))
        least = min(picture.size)
        # The shorter side exactly, the longer one rounded down: as the processors of pretrained encoders do.
        width, height = (self.shortest if edge == least else self.shortest * edge // least for edge in picture.size)
        left, top = (width - self.side) // 2, (height - self.side) // 2
        scaled = np.asarray(picture.resize((width, height), method))
        return np.ascontiguousarray(scaled[top : top + self.side, left : left + self.side])


def read_cover(path: Path, framing: Framing) -> NDArray[np.uint8]:
    """Give a picture's pixels (S, S, 3); of several frames the first."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in a file's head; our own limit of pixels stands below
            return framing.apply(_picture(path))
    except Exception as error:
        raise _unreadable(path, error) from error


def _picture(path: Path) -> Image.Image:
    known = IMAGE_FORMATS.get(mime_of(path))
    if known is None:
        raise UnreadableMediaError(path, "unknown_type")
    with Image.open(path, formats=[known]) as image:
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableMediaError(path, "too_many_pixels")
        return image.convert("RGB")


def read_clip(path: Path, framing: Framing, *, frames: int, stride: int = 1) -> NDArray[np.uint8]:
    """Give the pixels (T, S, S, 3) of the frames `frame_numbers` names, turned as the file says that they are shown."""
    try:
        return np.stack(_clip(path, framing, frames, stride))
    except Exception as error:
        raise _unreadable(path, error) from error


def _clip(path: Path, framing: Framing, frames: int, stride: int) -> list[NDArray[np.uint8]]:
    demuxer = demuxer_of(mime_of(path))
    if demuxer is None:
        raise UnreadableMediaError(path, "unknown_type")
    with open_container(path, demuxer, max_pixels=MAX_PIXELS) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            raise UnreadableMediaError(path, "no_video")
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # the size may change inside the stream
        stream.codec_context.thread_count = 1
        shown = [_shown(frame, framing) for frame in _middle(container, stream, frames, stride)]
    if not shown:
        raise UnreadableMediaError(path, "broken")
    return shown


def _shown(frame: VideoFrame, framing: Framing) -> NDArray[np.uint8]:
    pixels = framing.apply(Image.fromarray(frame.to_ndarray(format="rgb24")))
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / _QUARTER_TURN)))


def frame_numbers(count: int, frames: int, stride: int = 1) -> list[int]:
    """Number the frames of a clip, out of a video of `count`: from `count // 2` on, every `stride`-th.

    A video that ends too early has its clip begin earlier; one that is shorter than the clip has it denser, and, with
    fewer frames than the clip needs, repeats its last.
    """
    stride = max(1, min(stride, (count - 1) // max(1, frames - 1)))
    first = max(0, min(count // 2, count - 1 - (frames - 1) * stride))
    return [min(first + number * stride, count - 1) for number in range(frames)]


def _middle(container: InputContainer, stream: VideoStream, frames: int, stride: int) -> Iterator[VideoFrame]:
    """Decode no more than the clip, and what it is made from."""
    times = _times(container, stream)
    if not times:
        return
    wanted = [times[number] for number in frame_numbers(len(times), frames, stride)]
    seek_keyframe(container, stream, float(wanted[0] * (stream.time_base or 0)))
    decoded = decoded_frames(container, stream)
    first = next(decoded, None)
    if first is None or first.pts is None or first.pts > wanted[0]:
        # Where frames refer past a keyframe, or nothing can be sought: from the beginning.
        seek_keyframe(container, stream, start_s(container))
        stream.codec_context.flush_buffers()
        decoded = decoded_frames(container, stream)
    else:
        decoded = chain([first], decoded)
    yield from _at(decoded, wanted)


def _times(container: InputContainer, stream: VideoStream) -> list[int]:
    """When each frame is shown, in the stream's units and in order: read from the packets, none of which is decoded."""
    shown = (packet for packet in packets(container, stream) if packet.size and not packet.is_discard)
    return sorted(packet.pts for packet in shown if packet.pts is not None)


def _at(decoded: Iterable[VideoFrame], wanted: Sequence[int]) -> Iterator[VideoFrame]:
    """For each time the first frame from then on; the last frame of all where there is none."""
    found, last = 0, None
    for frame in decoded:
        while found < len(wanted) and frame.pts is not None and frame.pts >= wanted[found]:
            yield frame
            found += 1
        if found == len(wanted):
            return
        last = frame
    if last is not None:
        yield from [last] * (len(wanted) - found)


def _unreadable(path: Path, error: Exception) -> UnreadableMediaError:
    if isinstance(error, UnreadableMediaError):
        return error
    if isinstance(error, FileNotFoundError):
        return UnreadableMediaError(path, "missing_file")
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return UnreadableMediaError(path, "too_many_pixels")
    return UnreadableMediaError(path, "decoder_memory" if is_memory(error) else "broken")

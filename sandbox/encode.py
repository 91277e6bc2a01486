"""Real files from frames and samples: H.264 and AAC in MP4, the same bytes every time on one machine."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.frame import PictureType

from microlens.errors import MicrolensError
from sandbox.picture import CLIP_HEIGHT, CLIP_WIDTH
from sandbox.sound import SAMPLE_RATE
from sandbox.videos import FPS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# Encoder versions and times in the file would change its bytes from one build or run to the next.
_REPEATABLE = {"fflags": "+bitexact"}
_BOX_HEADER_BYTES = 8


@dataclass(frozen=True)
class Style:
    """How an encoder is set."""

    width: int
    height: int
    x264: dict[str, str]
    aac_bits_per_second: int


FIRST = Style(CLIP_WIDTH, CLIP_HEIGHT, {"preset": "ultrafast", "qp": "20", "threads": "1"}, 32_000)
AGAIN = Style(112, 84, {"preset": "veryfast", "crf": "23", "threads": "1"}, 24_000)
"""Of who uploads another's video: smaller and coarser."""


def encode_clip(
    frames: Iterable[NDArray[np.uint8]], samples: NDArray[np.float32], style: Style, cuts: Collection[int] = ()
) -> bytes:
    """Write an MP4 of YUV 4:2:0 frames with sound; the frames whose numbers are in `cuts` become keyframes."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4", options=_REPEATABLE) as container:
        picture = container.add_stream("libx264", rate=FPS, options=style.x264)
        picture.width, picture.height, picture.pix_fmt = style.width, style.height, "yuv420p"
        picture.thread_count = 1
        sound = _add_sound(container, style)
        _write_frames(container, picture, frames, cuts)
        _write_samples(container, sound, samples)
    return held.getvalue()


def decode_frames(body: bytes, style: Style) -> Iterator[NDArray[np.uint8]]:
    """Give a clip's frames, planar YUV 4:2:0, in the size of a style."""
    with av.open(io.BytesIO(body), "r") as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.reformat(style.width, style.height, "yuv420p").to_ndarray(), np.uint8)


def encode_sound(samples: NDArray[np.float32], style: Style) -> bytes:
    """Write an M4A: one mono AAC stream in an MP4 container."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4", options=_REPEATABLE) as container:
        _write_samples(container, _add_sound(container, style), samples)
    return held.getvalue()


def pad_mp4(body: bytes, size_bytes: int) -> bytes:
    """Bring an MP4 to an exact size with a `free` box at its end, which players skip."""
    missing = size_bytes - len(body)
    if missing < _BOX_HEADER_BYTES:
        raise MicrolensError(
            f"an MP4 of {len(body)} bytes cannot be padded to {size_bytes}: a free box takes {_BOX_HEADER_BYTES}",
            hint="lower the grain of small clips in sandbox/media.py",
        )
    return body + free_box(bytes(missing - _BOX_HEADER_BYTES))


def free_box(content: bytes) -> bytes:
    """Wrap bytes in a box that players skip."""
    return (len(content) + _BOX_HEADER_BYTES).to_bytes(4, "big") + b"free" + content


def _add_sound(container: OutputContainer, style: Style) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    stream.bit_rate = style.aac_bits_per_second
    return stream


def _write_frames(
    container: OutputContainer, stream: VideoStream, frames: Iterable[NDArray[np.uint8]], cuts: Collection[int]
) -> None:
    for number, planes in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        if number in cuts:
            frame.pict_type = PictureType.I
        frame.time_base = Fraction(1, FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_samples(container: OutputContainer, stream: AudioStream, samples: NDArray[np.float32]) -> None:
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

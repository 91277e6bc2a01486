"""Real files from frames and samples: H.264 and AAC in MP4, the same bytes every time on one machine."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from microlens.errors import MicrolensError
from sandbox.picture import CLIP_HEIGHT, CLIP_WIDTH
from sandbox.sound import SAMPLE_RATE
from sandbox.videos import FPS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# Encoder versions and times in the file would change its bytes from one build or run to the next.
_REPEATABLE = {"fflags": "+bitexact"}
_X264 = {"preset": "ultrafast", "qp": "20", "threads": "1"}
_AAC_BIT_RATE = 32_000
_BOX_HEADER_BYTES = 8


def encode_clip(frames: Iterable[NDArray[np.uint8]], samples: NDArray[np.float32]) -> bytes:
    """Write an MP4 of YUV 4:2:0 frames with sound."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4", options=_REPEATABLE) as container:
        picture = container.add_stream("libx264", rate=FPS, options=_X264)
        picture.width, picture.height, picture.pix_fmt = CLIP_WIDTH, CLIP_HEIGHT, "yuv420p"
        picture.thread_count = 1
        sound = _add_sound(container)
        _write_frames(container, picture, frames)
        _write_samples(container, sound, samples)
    return held.getvalue()


def encode_sound(samples: NDArray[np.float32]) -> bytes:
    """Write an M4A: one mono AAC stream in an MP4 container."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4", options=_REPEATABLE) as container:
        _write_samples(container, _add_sound(container), samples)
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


def _add_sound(container: OutputContainer) -> AudioStream:
    stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    stream.bit_rate = _AAC_BIT_RATE
    return stream


def _write_frames(container: OutputContainer, stream: VideoStream, frames: Iterable[NDArray[np.uint8]]) -> None:
    for number, planes in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        frame.time_base = Fraction(1, FPS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_samples(container: OutputContainer, stream: AudioStream, samples: NDArray[np.float32]) -> None:
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

"""What a file holds, read from its bytes; names, extensions and headers are not believed.

Nothing here raises on hostile bytes: what cannot be read has `is_decodable=False` and a word in `error`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from download_nodes.fingerprint import dominant_share, phash_hex
from download_nodes.sniff import HEAD_BYTES, sniff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.container import InputContainer
    from av.video.frame import VideoFrame

__all__ = ["CoverFacts", "StreamFacts", "probe_audio", "probe_cover", "probe_video", "sniff"]

MAX_PIXELS = 40_000_000
"""Of one cover or frame; an 8K frame has 33 million."""
FRAMES_DECODED = 16
"""At most so many towards the middle, and as many from the last keyframe on: a probe must not cost a transcode."""
PHASH_SIDE = 256
END_TOLERANCE_S = 0.5
"""Declared lengths are rounded, and the last packet's own length is not always known."""
MICROSECONDS = 1_000_000

_IMAGE_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
}
# FFmpeg is told the format: left to guess it takes a playlist for a video, and a playlist names other files.
_DEMUXERS = {
    "video/mp4": "mov",
    "audio/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/wav": "wav",
}


@dataclass(frozen=True, slots=True)
class CoverFacts:
    is_decodable: bool
    error: str | None = None
    """`unknown_type`, `too_many_pixels` or `broken`."""
    width: int | None = None
    height: int | None = None
    dominant_share: float | None = None
    phash: str | None = None


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """Of a video or a sound; a sound has no picture fields."""

    is_decodable: bool
    error: str | None = None
    """`unknown_type`, `no_video`, `no_audio`, `too_many_pixels`, `truncated` or `broken`."""
    duration_s: float | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    codecs: str | None = None
    """Comma-separated, video first, as FFmpeg names them."""
    phash: str | None = None
    """Of the frame in the middle."""


def probe_cover(path: Path) -> CoverFacts:
    image_format = _IMAGE_FORMATS.get(_mime(path))
    if image_format is None:
        return CoverFacts(is_decodable=False, error="unknown_type")
    try:
        return _read_cover(path, image_format)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return CoverFacts(is_decodable=False, error="too_many_pixels")
    except Exception:  # noqa: BLE001 - Pillow's decoders raise a dozen types on hostile bytes, SyntaxError among them
        return CoverFacts(is_decodable=False, error="broken")


def probe_video(path: Path) -> StreamFacts:
    """Measure a video; decodable means: frames at start, middle and end decode, and nothing is cut off."""
    return _probe_stream(path, _read_video)


def probe_audio(path: Path) -> StreamFacts:
    """Measure a sound; decodable means: its first packets decode, and nothing is cut off."""
    return _probe_stream(path, _read_audio)


def _mime(path: Path) -> str:
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES)) or ""


def _read_cover(path: Path, image_format: str) -> CoverFacts:
    with Image.open(path, formats=[image_format]) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            return CoverFacts(is_decodable=False, error="too_many_pixels", width=width, height=height)
        # JPEG alone can decode at a fraction of its size, which is most of a probe's time saved.
        image.draft("RGB", (128, 128))
        picture = image.convert("RGB")
    return CoverFacts(
        is_decodable=True,
        width=width,
        height=height,
        dominant_share=dominant_share(picture),
        phash=phash_hex(np.asarray(picture)),
    )


def _probe_stream(path: Path, read: Callable[[InputContainer], StreamFacts]) -> StreamFacts:
    demuxer = _DEMUXERS.get(_mime(path))
    if demuxer is None:
        return StreamFacts(is_decodable=False, error="unknown_type")
    # Both for one end: no name inside the bytes may lead to another protocol.
    options = {"protocol_whitelist": "file"}
    try:
        with av.open(f"file:{path.absolute()}", format=demuxer, options=options) as container:
            return read(container)
    except Exception:  # noqa: BLE001 - FFmpeg's errors, and PyAV's own on values that no sane file has
        return StreamFacts(is_decodable=False, error="broken")


def _read_video(container: InputContainer) -> StreamFacts:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        return StreamFacts(is_decodable=False, error="no_video")
    codec = stream.codec_context
    facts = StreamFacts(
        is_decodable=False,
        duration_s=_duration_s(container, stream),
        fps=float(stream.average_rate) if stream.average_rate else None,
        width=codec.width,
        height=codec.height,
        codecs=_codecs(container),
    )
    if codec.width * codec.height > MAX_PIXELS:
        return replace(facts, error="too_many_pixels")
    # The size may change inside the stream; threads cost more than a few frames do.
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    codec.thread_count = 1
    try:
        return _decode_video(container, stream, facts)
    except av.FFmpegError:
        return replace(facts, error="broken")


def _decode_video(container: InputContainer, stream: VideoStream, facts: StreamFacts) -> StreamFacts:
    start_s = (container.start_time or 0) / MICROSECONDS
    first = next(container.decode(stream), None)
    middle = _frame_at(container, stream, start_s + (facts.duration_s or 0) / 2)
    _seek(container, _end_s(container))
    error = _read_to_end(container, stream)
    if first is None or middle is None or error:
        return replace(facts, error=error or "broken")
    small = middle.reformat(width=PHASH_SIDE, height=PHASH_SIDE, format="rgb24", interpolation="AREA")
    return replace(facts, is_decodable=True, phash=phash_hex(np.asarray(small.to_ndarray(), dtype=np.uint8)))


def _read_audio(container: InputContainer) -> StreamFacts:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        return StreamFacts(is_decodable=False, error="no_audio")
    facts = StreamFacts(
        is_decodable=False, duration_s=_duration_s(container, stream), codecs=stream.codec_context.codec.canonical_name
    )
    error = _read_to_end(container, stream)
    return replace(facts, is_decodable=error is None, error=error)


def _frame_at(container: InputContainer, stream: VideoStream, at_s: float) -> VideoFrame | None:
    """Decode from the keyframe before `at_s` towards it; the nearest frame within reach of `FRAMES_DECODED`."""
    _seek(container, at_s)
    found = None
    for found in islice(container.decode(stream), FRAMES_DECODED):
        if found.time is None or found.time >= at_s:
            break
    return found


def _read_to_end(container: InputContainer, stream: VideoStream | AudioStream) -> str | None:
    """Decode the next frames of `stream`, then read all packets that follow; say what is wrong, if anything."""
    decoded, reached_s = 0, 0.0
    for packet in container.demux([*container.streams.video, *container.streams.audio]):
        if packet.is_corrupt:
            return "truncated"
        if packet.stream is stream and decoded < FRAMES_DECODED:
            decoded += len(packet.decode())
        if packet.pts is not None and packet.time_base is not None:
            reached_s = max(reached_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    end_s = _end_s(container)
    if end_s is not None and reached_s < end_s - END_TOLERANCE_S and _declares_length(container):
        return "truncated"
    return None if decoded else "broken"


def _seek(container: InputContainer, at_s: float | None) -> None:
    if at_s is None:
        return
    # A file without an index cannot be sought in: then reading goes on where it stood.
    with contextlib.suppress(av.FFmpegError):
        container.seek(int(at_s * MICROSECONDS))


def _end_s(container: InputContainer) -> float | None:
    if container.duration is None:
        return None
    return (container.duration + (container.start_time or 0)) / MICROSECONDS


def _declares_length(container: InputContainer) -> bool:
    """Elsewhere FFmpeg guesses the length from size and bit rate, and a guess proves nothing."""
    return container.format.name.startswith(("mov", "matroska"))


def _duration_s(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / MICROSECONDS


def _codecs(container: InputContainer) -> str:
    streams = [*container.streams.video, *container.streams.audio]
    return ",".join(dict.fromkeys(stream.codec_context.codec.canonical_name for stream in streams))

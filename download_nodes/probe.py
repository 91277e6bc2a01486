"""What a sound or a video holds, read from its bytes; names, extensions and headers are not believed.

Nothing here raises on hostile bytes: what cannot be read has `is_decodable=False` and a word in `error`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import av
import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.stream import VideoStream

from download_nodes.fingerprint import phash_hex
from download_nodes.frames import frame_hashes
from microlens.containers import (
    MAX_PIXELS,
    codecs,
    decoded_frames,
    demuxer_of,
    duration_s,
    end_s,
    format_name,
    is_memory,
    open_container,
    packets,
    seek_keyframe,
    start_s,
)
from microlens.sniff import mime_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.container import InputContainer
    from av.video.frame import VideoFrame

_Found = TypeVar("_Found")

FRAMES_DECODED = 16
"""At most so many towards the middle, and as many from the last keyframe on: a probe must not cost a transcode."""
PHASH_SIDE = 256
END_TOLERANCE_S = 0.5
"""Declared lengths are rounded, and the last packet's own length is not always known."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """Of a video or a sound; a sound has no picture fields."""

    is_decodable: bool
    error: str | None = None
    """`unknown_type`, `no_video`, `no_audio`, `too_many_pixels`, `truncated`, `decoder_memory` or `broken`."""
    duration_s: float | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    container: str | None = None
    """As FFmpeg names its format, the first name of several: `mov`, `matroska`, `mpegts`."""
    stream_count: int | None = None
    """Of every kind."""
    codecs: str | None = None
    """Comma-separated, video first, as FFmpeg names them."""
    phash: str | None = None
    """Of the frame in the middle."""
    frame_hashes: tuple[str, ...] = ()
    """Of up to 16 frames that stand for it (download_nodes.frames), in order of time."""
    first_decodes: bool | None = None
    middle_decodes: bool | None = None
    last_decodes: bool | None = None
    """The last keyframe and what follows it, up to `FRAMES_DECODED`; and the packets reach to the declared end."""


def probe_video(path: Path, mime: str | None = None) -> StreamFacts:
    """Measure a video of this type (by its bytes, if none is given).

    Decodable means: frames at start, middle and end decode, and nothing is cut off.
    """
    return _probe(path, mime, _read_video)


def probe_audio(path: Path, mime: str | None = None) -> StreamFacts:
    """Measure a sound; decodable means: its first packets decode, and nothing is cut off."""
    return _probe(path, mime, _read_audio)


def _probe(path: Path, mime: str | None, read: Callable[[InputContainer], StreamFacts]) -> StreamFacts:
    demuxer = demuxer_of(mime or mime_of(path))
    if demuxer is None:
        return StreamFacts(is_decodable=False, error="unknown_type")
    try:
        with open_container(path, demuxer, max_pixels=MAX_PIXELS) as container:
            return read(container)
    except Exception as error:  # noqa: BLE001 - FFmpeg's errors, and PyAV's own on values that no sane file has
        return StreamFacts(is_decodable=False, error="decoder_memory" if is_memory(error) else "broken")


def _read_video(container: InputContainer) -> StreamFacts:
    if not container.streams:
        return StreamFacts(is_decodable=False, error="broken")
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        return StreamFacts(is_decodable=False, error="no_video")
    codec = stream.codec_context
    facts = StreamFacts(
        is_decodable=False,
        duration_s=duration_s(container, stream),
        fps=float(stream.average_rate) if stream.average_rate else None,
        width=codec.width,
        height=codec.height,
        container=format_name(container),
        stream_count=len(container.streams),
        codecs=codecs(container),
    )
    if codec.width * codec.height > MAX_PIXELS:
        return replace(facts, error="too_many_pixels")
    # The size may change inside the stream. Nothing that is measured here sees edges that are not smoothed.
    codec.options = {"max_pixels": str(MAX_PIXELS), "skip_loop_filter": "all"}
    codec.thread_count = 1
    return _decode_video(container, stream, facts)


def _decode_video(container: InputContainer, stream: VideoStream, facts: StreamFacts) -> StreamFacts:
    opens_s, length_s = start_s(container), facts.duration_s or 0.0
    first, first_error = _attempt(lambda: next(decoded_frames(container, stream), None))
    hashes = frame_hashes(container, stream, opens_s, length_s)
    middle, middle_error = _attempt(lambda: _frame_at(container, stream, opens_s + length_s / 2))
    phash, hash_error = _attempt(lambda: _hash(middle) if middle else None)
    ends_s = end_s(container)
    if ends_s is not None:
        seek_keyframe(container, stream, ends_s)
    told, last_error = _attempt(lambda: _read_to_end(container, stream))
    error = told or last_error or middle_error or first_error or hash_error
    decodes = (first is not None, middle is not None, not told and not last_error)
    return replace(
        facts,
        is_decodable=all(decodes) and error is None,
        error=error if error or all(decodes) else "broken",
        phash=phash,
        frame_hashes=hashes,
        first_decodes=decodes[0],
        middle_decodes=decodes[1],
        last_decodes=decodes[2],
    )


def _read_audio(container: InputContainer) -> StreamFacts:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        return StreamFacts(is_decodable=False, error="no_audio")
    facts = StreamFacts(
        is_decodable=False,
        duration_s=duration_s(container, stream),
        container=format_name(container),
        stream_count=len(container.streams),
        codecs=stream.codec_context.codec.canonical_name,
    )
    told, error = _attempt(lambda: _read_to_end(container, stream))
    return replace(facts, is_decodable=not (told or error), error=told or error)


def _attempt(look: Callable[[], _Found]) -> tuple[_Found | None, str | None]:
    """What was found, or a word for what is wrong."""
    try:
        return look(), None
    except (av.FFmpegError, MemoryError, ValueError) as error:
        return None, "decoder_memory" if is_memory(error) else "broken"


def _frame_at(container: InputContainer, stream: VideoStream, at_s: float) -> VideoFrame | None:
    """Decode from the keyframe before `at_s` towards it; the nearest frame within reach of `FRAMES_DECODED`."""
    seek_keyframe(container, stream, at_s)
    found = None
    for found in islice(decoded_frames(container, stream), FRAMES_DECODED):
        if found.time is None or found.time >= at_s:
            break
    return found


def _hash(frame: VideoFrame) -> str | None:
    small = frame.reformat(width=PHASH_SIDE, height=PHASH_SIDE, format="rgb24", interpolation="AREA")
    return phash_hex(np.asarray(small.to_ndarray(), dtype=np.uint8))


def _read_to_end(container: InputContainer, stream: VideoStream | AudioStream) -> str | None:
    """Decode the next frames of `stream`, then read all packets that follow; say what is wrong, if anything."""
    decoded, reached_s = 0, 0.0
    for packet in packets(container, *container.streams.video, *container.streams.audio):
        # In a transport stream it may be a seam: a broadcast, or segments that were put together.
        if packet.is_corrupt and format_name(container) != "mpegts":
            return "truncated"
        if packet.stream is stream and decoded < FRAMES_DECODED:
            decoded += len(packet.decode())
        if packet.pts is not None and packet.time_base is not None:
            reached_s = max(reached_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    ends_s = end_s(container)
    if ends_s is not None and reached_s < ends_s - END_TOLERANCE_S and _declares_length(container):
        return "truncated"
    return None if decoded else "broken"


def _declares_length(container: InputContainer) -> bool:
    """Elsewhere FFmpeg guesses the length from size and bit rate, and a guess proves nothing."""
    return format_name(container) in {"mov", "matroska"}

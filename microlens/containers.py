"""Opens the files of strangers with FFmpeg's libraries, so that no name inside them leads anywhere else."""

from __future__ import annotations

import contextlib
import errno
from itertools import islice
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_PIXELS = 40_000_000
"""Of one cover or frame; an 8K frame has 33 million."""
MAX_PACKETS = 1_000_000
"""Read of one file in one go; ten hours of video have as many. A few bytes may declare billions of empty ones."""
MICROSECONDS = 1_000_000
_INDEXED = {"mov", "matroska"}
_BACKS_S = (0.0, 2.0, 9.0, 29.0, float("inf"))

# FFmpeg is told the format: left to guess it takes a playlist for a video, and a playlist names other files.
_DEMUXERS = {
    "video/mp4": "mov",
    "audio/mp4": "mov",
    "video/quicktime": "mov",
    "video/webm": "matroska",
    "video/x-matroska": "matroska",
    "video/mp2t": "mpegts",
    "video/ogg": "ogg",
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/wav": "wav",
}


def demuxer_of(mime: str) -> str | None:
    """FFmpeg's name for the format of this type; None for what is no sound or video that is known here."""
    return _DEMUXERS.get(mime)


def open_container(path: Path, demuxer: str, *, max_pixels: int) -> InputContainer:
    """Open a file as this format and nothing else; raises av.FFmpegError, and PyAV's own errors on absurd values.

    The options after the first are the decoders' while FFmpeg looks for the streams' facts: no frame of more pixels,
    and no threads, which cost more than a few frames do.
    """
    options = {"protocol_whitelist": "file", "max_pixels": str(max_pixels), "threads": "1"}
    return av.open(f"file:{path.absolute()}", format=demuxer, options=options, metadata_errors="replace")


def packets(container: InputContainer, *streams: VideoStream | AudioStream) -> Iterator[Packet[Stream]]:
    """Go through the packets of some streams from where the container stands, without end at `MAX_PACKETS`."""
    return islice(container.demux(*streams), MAX_PACKETS)


def decoded_frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decode a stream from where the container stands; raises av.FFmpegError."""
    for packet in packets(container, stream):
        yield from stream.decode(packet)


def seek(container: InputContainer, at_s: float) -> None:
    """Go to the keyframe before this time; where there is no index, about a second before it, wherever that is.

    A file that cannot be sought in stays where it is.
    """
    to_s = at_s if format_name(container) in _INDEXED else at_s - 1
    with contextlib.suppress(av.FFmpegError, OverflowError):
        container.seek(int(to_s * MICROSECONDS))


def seek_keyframe(container: InputContainer, stream: VideoStream | AudioStream, at_s: float) -> None:
    """Go to a keyframe before this time; where there is no index that is tried further and further back."""
    if format_name(container) in _INDEXED:
        seek(container, at_s)
        return
    for back_s in _BACKS_S:
        to_s = max(at_s - back_s, start_s(container))
        seek(container, to_s)
        packet = next(packets(container, stream), None)
        if packet is not None and packet.is_keyframe and packet.size:
            seek(container, to_s)
            return


def is_memory(error: Exception) -> bool:
    """Whether FFmpeg or Python was refused the memory that it asked for."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM


def start_s(container: InputContainer) -> float:
    return (container.start_time or 0) / MICROSECONDS


def end_s(container: InputContainer) -> float | None:
    return None if container.duration is None else start_s(container) + container.duration / MICROSECONDS


def duration_s(container: InputContainer, stream: VideoStream | AudioStream) -> float | None:
    """Length as declared, of the stream or else of the whole; None if there is none that could be one."""
    declared = None if container.duration is None else container.duration / MICROSECONDS
    if stream.duration is not None and stream.time_base is not None:
        declared = float(stream.duration * stream.time_base)
    return declared if declared is not None and declared >= 0 else None


def codecs(container: InputContainer) -> str:
    streams = [*container.streams.video, *container.streams.audio]
    return ",".join(dict.fromkeys(stream.codec_context.codec.canonical_name for stream in streams))


def format_name(container: InputContainer) -> str:
    """FFmpeg's first name of the format: `mov` of `mov,mp4,m4a,3gp,3g2,mj2`."""
    return container.format.name.partition(",")[0]

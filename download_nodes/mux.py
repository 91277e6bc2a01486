"""Puts a picture and a sound that lie apart into one MP4.

    python -m download_nodes.mux PARENT MAX_BYTES PICTURE SOUND TARGET

Nothing is encoded anew. A program of its own, confined like the decoders, for its input is a stranger's, and one that
dies with the node (PARENT). Its exit code is 0, or the number of the system's error (27: the file would be longer than
MAX_BYTES, 28: the disk is full), or 1.
"""

from __future__ import annotations

import heapq
import io
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from microlens import confine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    Timed = tuple[Fraction, tuple[int, int], Packet[Any]]

_MEMORY_BYTES = 1 << 30
_CPU_S = 120
# What HLS may be made of; left to guess freely FFmpeg takes a playlist for a video, and a playlist names other files.
_READING = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,mpegts,aac,mp3", "protocol_whitelist": "file"}
# Without versions and times in it the same pieces make the same bytes.
_WRITING = {"fflags": "+bitexact", "avoid_negative_ts": "make_zero", "movflags": "faststart"}


class _Target(io.FileIO):
    """Nothing is held back: for its index FFmpeg reads the file by its name while it writes."""

    failure = 0
    """The system's first error; of what comes after it PyAV tells another one."""

    def write(self, data: Any, /) -> int:
        """All of it, or OSError: a disk that fills up takes a part before it says so."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error.errno or 0
            raise
        return memoryview(data).nbytes


def join(picture: str, sound: str, target: BinaryIO) -> None:
    """Copy the packets of the best picture and the best sound, in the order of their times."""
    with (
        av.open(f"file:{picture}", options=_READING) as pictures,
        av.open(f"file:{sound}", options=_READING) as sounds,
        av.open(target, "w", format="mp4", options=_WRITING) as out,
    ):
        streams = [
            _packets(pictures, pictures.streams.best("video"), out),
            _packets(sounds, sounds.streams.best("audio"), out),
        ]
        for _, _, packet in heapq.merge(*streams):
            out.mux(packet)


def _packets(source: InputContainer, found: Stream | None, out: OutputContainer) -> Iterator[Timed]:
    """A stream's packets, each marked as one of the new file, with what they are sorted by."""
    if not isinstance(found, (VideoStream, AudioStream)):
        raise TypeError("one of the files does not hold what it is taken for")
    made = out.add_stream_from_template(found)

    def read() -> Iterator[Timed]:
        for number, packet in enumerate(source.demux(found)):
            if packet.dts is not None and packet.time_base is not None:  # the last one, which is empty, has none
                at = packet.dts * packet.time_base
                packet.stream = made
                yield at, (made.index, number), packet

    return read()


def main(arguments: list[str]) -> int:
    parent, max_bytes, picture, sound, target = arguments
    confine.die_with(int(parent))
    confine.limit(memory_bytes=_MEMORY_BYTES, file_bytes=int(max_bytes), cpu_s=_CPU_S)
    failure = 0
    try:
        with _Target(target, "w+b") as file:
            confine.forbid()  # what is open stays so
            try:
                join(picture, sound, file)
            finally:
                failure = file.failure
    except Exception as error:  # noqa: BLE001 - whatever it is, all that is told of it is a number
        code = failure or getattr(error, "errno", None) or 1
        return code if code in range(1, 128) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Puts a picture and a sound that lie apart into one MP4.

    python -m download_nodes.mux PARENT MAX_BYTES PICTURE SOUND TARGET

Nothing is encoded anew. A program of its own, confined like the decoders, for its input is a stranger's, and one that
dies with the node (PARENT). Its exit code is 0, or the number of the system's error (27: the file would be longer than
MAX_BYTES, 28: the disk is full), or 1.
"""

from __future__ import annotations

import heapq
import resource
import sys
from typing import TYPE_CHECKING, Any

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from download_nodes import confine

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


def join(picture: str, sound: str, target: str) -> None:
    """Copy the packets of the best picture and the best sound, in the order of their times."""
    with (
        av.open(f"file:{picture}", options=_READING) as pictures,
        av.open(f"file:{sound}", options=_READING) as sounds,
        av.open(f"file:{target}", "w", format="mp4", options=_WRITING) as out,
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
    parent, max_bytes, *files = arguments
    confine.die_with(int(parent))
    confine.limit(memory_bytes=_MEMORY_BYTES, file_bytes=int(max_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    try:
        join(*files)
    except OSError as error:
        return error.errno if error.errno and error.errno in range(1, 128) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

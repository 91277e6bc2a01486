"""The sound of a video, taken out of its file without touching a sample: its packets in a container of their own."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, BinaryIO

import av
from av.audio.stream import AudioStream

from microlens.containers import demuxer_of, is_memory, open_container, packets
from microlens.sniff import mime_of

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer

_MUXERS = {
    "aac": "ipod",  # MP4 with the brand M4A
    "alac": "ipod",
    "opus": "ogg",
    "vorbis": "ogg",
    "speex": "ogg",
    "mp3": "mp3",
    "flac": "flac",
    "pcm_s16le": "wav",
    "pcm_s24le": "wav",
}
_ANY_CODEC = "matroska"
_MAX_PIXELS = 0xFFFF
"""Pictures are not decoded here."""


def extract_audio(path: Path, into: BinaryIO) -> str | None:
    """Write the best sound of a video into an empty file; gives a word if there is none to be had.

    The container follows from the codec: M4A for AAC, Ogg for Opus and Vorbis, MP3 and FLAC in their own, WAV for PCM,
    Matroska for any other. The same input gives the same bytes: no dates, no random numbers, no program's name.
    The word is `no_audio` where the file has no sound, `audio_broken` where FFmpeg cannot read it or put it elsewhere.
    OSError if the disk is full.
    """
    demuxer = demuxer_of(mime_of(path))
    if demuxer is None:
        return "no_audio"
    try:
        with open_container(path, demuxer, max_pixels=_MAX_PIXELS) as container:
            return _copy(container, into)
    except Exception as error:
        if is_memory(error):
            raise MemoryError from error
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise  # the disk is full, which is not the video's fault
        return "audio_broken"


def _copy(container: InputContainer, into: BinaryIO) -> str | None:
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        return "no_audio"
    muxer = _MUXERS.get(stream.codec_context.codec.canonical_name, _ANY_CODEC)
    count = 0
    with av.open(into, "w", format=muxer, options={"fflags": "+bitexact"}) as out:
        copy = out.add_stream_from_template(stream)
        for packet in packets(container, stream):
            if packet.dts is None or not packet.size:  # the end, or nothing
                continue
            packet.stream = copy
            out.mux_one(packet)
            count += 1
    return None if count else "no_audio"

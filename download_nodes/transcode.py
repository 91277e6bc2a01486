"""Sound in another codec, where a recipe asks for it: FFmpeg's program, by ffmpeg-python (extra `transcode`)."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import signal
import sys
from typing import TYPE_CHECKING

from download_nodes.decoder_wire import MAX_FILE_BYTES
from download_nodes.measuring import NoAudioError
from microlens.containers import demuxer_of
from microlens.errors import MicrolensError
from microlens.sniff import mime_of

if TYPE_CHECKING:
    from pathlib import Path

_TARGETS = {
    "aac": {"acodec": "aac", "audio_bitrate": "128k", "format": "ipod"},
    "mp3": {"acodec": "libmp3lame", "audio_bitrate": "128k", "format": "mp3"},
    "opus": {"acodec": "libopus", "audio_bitrate": "96k", "format": "ogg"},
    "flac": {"acodec": "flac", "format": "flac"},
}
_BITEXACT = {"fflags": "+bitexact", "flags:a": "+bitexact", "map_metadata": -1, "threads": 1}
"""The same input gives the same bytes."""
_MEMORY_BYTES = 1 << 30
_DISK_IS_FULL = 256 - errno.ENOSPC
"""Exit code of FFmpeg's program, from version 6.1 on; it writes to a file that it is handed (`fd:`) from 6.0 on."""


class NoTranscoderError(MicrolensError):
    """A recipe asks for another codec, and the program for it is not installed."""

    def __init__(self, codec: str) -> None:
        super().__init__(
            f"the recipe asks for sound in {codec!r} (media.audio_codec), and there is no program to make it",
            hint="install it with `pip install 'microlens-build[transcode]'`, or set media.audio_codec: keep",
        )


def check_transcoder(codec: str) -> None:
    """NoTranscoderError if `transcode` could not make this codec here."""
    try:
        import ffmpeg  # noqa: F401, PLC0415 - an extra
        import imageio_ffmpeg  # noqa: PLC0415

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise NoTranscoderError(codec) from error


async def transcode(sound: Path, into: Path, codec: str, *, video_id: str, time_limit_s: float = 120.0) -> None:
    """Write a sound in another codec: `aac`, `mp3`, `opus` or `flac`. The same input gives the same bytes.

    The program reads the one file in the format that its bytes have, confined like the decoders, and dies with this
    process. NoAudioError (`audio_broken`, `decoder_timeout`) where that fails; NoTranscoderError if there is no such
    program; OSError if the disk is full.
    """
    limits = (os.getpid(), _MEMORY_BYTES, MAX_FILE_BYTES, math.ceil(time_limit_s))
    command = [sys.executable, "-m", "microlens.confine", *map(str, limits), *_command(sound, codec)]
    with into.open("wb") as file:  # it may open none itself
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=asyncio.subprocess.DEVNULL
        )
    try:
        code = await asyncio.wait_for(process.wait(), time_limit_s)
    except TimeoutError as error:
        raise NoAudioError(video_id, "decoder_timeout") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code == -signal.SIGXCPU:
        raise NoAudioError(video_id, "decoder_timeout")
    if code == _DISK_IS_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(into))
    if code != 0:
        raise NoAudioError(video_id, "audio_broken")


def _command(sound: Path, codec: str) -> list[str]:
    check_transcoder(codec)
    import ffmpeg  # noqa: PLC0415 - an extra
    import imageio_ffmpeg  # noqa: PLC0415

    source = ffmpeg.input(
        f"file:{sound.absolute()}", format=demuxer_of(mime_of(sound)), protocol_whitelist="file", threads=1
    )
    target = ffmpeg.output(source.audio, "fd:", fd=1, **_TARGETS[codec], **_BITEXACT)
    quiet = target.global_args("-nostdin", "-loglevel", "error")
    return [str(word) for word in ffmpeg.compile(quiet, cmd=imageio_ffmpeg.get_ffmpeg_exe())]

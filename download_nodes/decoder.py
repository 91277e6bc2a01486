"""The process that decodes: `python -m download_nodes.decoder SOCKET MARK PARENT MEMORY_BYTES CPU_S`.

Files of strangers make decoders hang, swell and crash; here that costs a process, and one file. Started by
download_nodes.decoder_process; what goes over the socket: download_nodes.decoder_wire.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import socket
import sys
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from download_nodes.cover import draw_thumbnail
from download_nodes.decoder_wire import MARK, MAX_FILE_BYTES, MESSAGE_BYTES, READY, Request, read_path
from download_nodes.measure import measure
from microlens import confine
from microlens.records import AssetRecord
from microlens.sniff import NotMediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FILES_AT_ONCE = 32
_FLUSH_S, _FLUSH_COUNT = 0.02, 8
"""Answers wait so long, and for so many, while there is more to do: the node is woken once for them all."""
_NOBODY = AssetRecord("", "", "cover", "", 0, "")
_TOLD = [name for name in AssetRecord.__slots__ if name not in {"platform", "video_id", "kind", "sha256", "size_bytes"}]


def main() -> None:
    channel_fd, mark_fd, parent, memory_bytes, cpu_s = map(int, sys.argv[1:6])
    confine.die_with(parent)
    confine.limit(memory_bytes=memory_bytes, file_bytes=MAX_FILE_BYTES)
    channel = socket.socket(fileno=channel_fd)
    mark = mmap.mmap(mark_fd, MARK.size)
    os.close(mark_fd)
    confine.forbid()
    channel.sendall(READY)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the node is gone, and nobody wants to know
        serve(channel, mark, cpu_s)


def serve(channel: socket.socket, mark: mmap.mmap, cpu_s: int) -> None:
    """Answer until the other end is closed."""
    answers: list[bytes] = []
    files: deque[int] = deque()
    flushed_at = time.monotonic()
    for requests in _requests(channel, files):
        for request in requests:
            # Whoever finds this process dead reads here of which file, and since when it has been at it.
            MARK.pack_into(mark, 0, request.number, time.monotonic())
            signal.setitimer(signal.ITIMER_PROF, cpu_s)  # its signal, SIGPROF, ends the process
            answers.append(orjson.dumps([request.number, answer(request, files)]) + b"\n")
            signal.setitimer(signal.ITIMER_PROF, 0)
            MARK.pack_into(mark, 0, 0, 0.0)
            now = time.monotonic()
            if len(answers) >= _FLUSH_COUNT or now - flushed_at > _FLUSH_S:
                channel.sendall(b"".join(answers))
                answers.clear()
                flushed_at = now
        if answers:
            channel.sendall(b"".join(answers))
            answers.clear()
        flushed_at = time.monotonic()


def answer(request: Request, files: deque[int]) -> dict[str, Any]:
    """What a file tells: `facts`, `extracted`, `drawn`, or `not_media`, `died`, `os_error`, `bug`."""
    try:
        return _done(request, files)
    except NotMediaError as error:
        return {"not_media": error.mime}
    except MemoryError:
        return {"died": "decoder_memory"}
    except OSError as error:
        return {"os_error": [error.errno, error.strerror]}
    except Exception:  # noqa: BLE001 - a bug is told to the node, which lays it to this file
        return {"bug": traceback.format_exc()}


def _done(request: Request, files: deque[int]) -> dict[str, Any]:
    path = read_path(request.path)
    if request.task == "extract":
        return {"extracted": _written(_extract, path, files.popleft())}
    if request.task == "draw":
        return {"drawn": _written(draw_thumbnail, path, files.popleft())}
    asset = measure(path, kind=request.kind, platform="", video_id="", sha256="", size_bytes=0)
    return {"facts": {name: value for name in _TOLD if (value := getattr(asset, name)) != getattr(_NOBODY, name)}}


def _written(write: Callable[[Path, BinaryIO], str | None], path: Path, file: int) -> str | None:
    with open(file, "r+b") as into:
        into.truncate()  # a process before this one may have died in its midst
        return write(path, into)


def _extract(path: Path, into: BinaryIO) -> str | None:
    from download_nodes.audio import extract_audio  # noqa: PLC0415 - covers alone need none of FFmpeg's libraries

    return extract_audio(path, into)


def _requests(channel: socket.socket, files: deque[int]) -> Iterator[list[Request]]:
    """Yield the requests as they come; the files that come with them go into `files`, in the same order."""
    rest = b""
    while True:
        data, fds, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, _FILES_AT_ONCE)
        files.extend(fds)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield [Request(*orjson.loads(line)) for line in lines]


if __name__ == "__main__":
    main()

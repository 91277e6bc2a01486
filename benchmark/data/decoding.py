"""Files are decoded in processes of their own, ahead of the encoder: a hostile one costs itself alone.

The processes import neither torch nor an encoder. What they may not do: microlens.confine; their limits are those of a
download node's (ADR 0021).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

from microlens import confine
from microlens.clips import UnreadableMediaError
from microlens.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Read = Callable[[Path], NDArray[np.uint8]]
    Answer: TypeAlias = "NDArray[np.uint8] | Unread"

CRASHED = "decoder_crashed"
"""The process died of it: a fault in a decoder, or a limit."""
_CPU_S = 60.0
_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of pixels."""

    reason: str


class Decoders:
    """Processes that read files with one function; a context."""

    def __init__(self, processes: int, read: Read) -> None:
        self._processes = processes
        self._read = read
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def map(self, paths: Iterable[Path], *, ahead: int) -> Iterator[Answer]:
        """Give each file's pixels, or `Unread`, in the order of `paths`; at most `ahead` of them lie in memory."""
        waiting: deque[tuple[Path, Future[Answer]]] = deque()
        for path in paths:
            waiting.append((path, self._submit(path)))
            if len(waiting) >= ahead:
                yield self._answer(*waiting.popleft())
        while waiting:
            yield self._answer(*waiting.popleft())

    def _submit(self, path: Path) -> Future[Answer]:
        if self._pool is None:
            self._pool = _pool(self._processes)
        try:
            return self._pool.submit(_attempt, self._read, path)
        except BrokenProcessPool:
            self._close()
            return self._submit(path)

    def _answer(self, path: Path, future: Future[Answer]) -> Answer:
        try:
            return future.result()
        except BrokenProcessPool:
            # One of those in work killed its process, and all of them have the error: each is tried again alone.
            with _pool(1) as pool:
                try:
                    return pool.submit(_attempt, self._read, path).result()
                except BrokenProcessPool:
                    return Unread(CRASHED)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: torch's threads would leave their locks behind.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _prepare, (os.getpid(),))
    try:
        pool.submit(os.getpid).result()  # no file is to be blamed for a process that cannot even begin
    except BrokenProcessPool as error:
        pool.shutdown()
        raise NotReadyError(
            "the processes that decode media die as they start",
            hint="their words stand above; a script that calls this needs `if __name__ == '__main__':`",
        ) from error
    return pool


def _prepare(parent: int) -> None:
    """Begin a process: it does not outlive its parent, and may neither write nor talk."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends us
    confine.die_with(parent)
    confine.limit(memory_bytes=_MEMORY_BYTES, file_bytes=0)
    confine.forbid()


def _attempt(read: Read, path: Path) -> Answer:
    signal.setitimer(signal.ITIMER_PROF, _CPU_S)  # its signal, SIGPROF, ends the process
    try:
        return read(path)
    except UnreadableMediaError as error:
        return Unread(error.reason)
    except MemoryError:
        return Unread("decoder_memory")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)

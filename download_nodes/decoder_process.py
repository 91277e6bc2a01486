"""A node's hold on one process that decodes: started, asked, killed, and looked at when it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import orjson

from download_nodes.decoder_wire import MARK, MESSAGE_BYTES, READY, Request

if TYPE_CHECKING:
    from collections.abc import Callable

_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_START_S = 120.0
"""For Python to load its libraries, on a machine that has better things to do."""


class DecoderProcess:
    """Started at once, in the running event loop; `on_answer` gets number and answer, `on_death` this object."""

    def __init__(
        self,
        *,
        memory_bytes: int,
        cpu_s: int,
        on_answer: Callable[[int, dict[str, Any]], None],
        on_death: Callable[[DecoderProcess], None],
    ) -> None:
        self._on_answer, self._on_death = on_answer, on_death
        self._heard_at = time.monotonic()
        """When it last gave a sign of life, or was first asked after a rest."""
        self._rest = b""
        self.is_ready = False
        self.is_overdue = False
        """Killed by `kill_if_stuck`."""
        self.exit_code: int | None = None
        """Negative: the signal that ended it; None while it lives."""
        with tempfile.TemporaryFile() as file:
            file.truncate(MARK.size)
            self._mark = mmap.mmap(file.fileno(), MARK.size)
            self._channel, other = socket.socketpair()
            with other:
                fds = (other.fileno(), file.fileno())
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        "download_nodes.decoder",
                        *map(str, (*fds, os.getpid(), memory_bytes, cpu_s)),
                    ],
                    env={**os.environ, **_ONE_THREAD},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=fds,
                    start_new_session=True,  # a Ctrl-C at the terminal is the node's business
                )
        self._channel.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._channel.fileno(), self._receive)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def in_work(self) -> int:
        """Number of the request that it works on, or died on; 0 between two."""
        return int(MARK.unpack_from(self._mark)[0])

    def send(self, request: Request, file: int | None, *, is_first: bool) -> None:
        """Ask; few requests are under way at once, so that the socket's buffer takes them all."""
        if is_first:
            self._heard_at = time.monotonic()
        line = orjson.dumps([request.number, request.task, request.kind, request.path]) + b"\n"
        # If it is dead, its socket tells so in a moment, and the request is given to another.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if file is None:
                self._channel.send(line)
            else:
                socket.send_fds(self._channel, [line], [file])

    def kill_if_stuck(self, wall_s: float) -> None:
        """Kill it if it has been at one file for longer than this, or has not begun with any for much longer."""
        number, since = MARK.unpack_from(self._mark)
        now = time.monotonic()
        self.is_overdue = now - since > wall_s if number else now - self._heard_at > max(2 * wall_s, _START_S)
        if self.is_overdue:
            self._process.kill()

    def close(self) -> None:
        """End it; it only reads, and nothing of it is lost."""
        if self.exit_code is None:
            self._process.kill()
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
            self.exit_code = self._process.wait()

    def _receive(self) -> None:
        try:
            data = self._channel.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.close()  # it is dead or dying: a kill that comes later does not change what it died of
            self._on_death(self)
            return
        self._heard_at = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self.is_ready:
                self._on_answer(*orjson.loads(line))
            else:
                self.is_ready = line + b"\n" == READY

    def was_killed_from_outside(self) -> bool:
        """Whether nothing in the file need have been the cause."""
        return not self.is_overdue and self.exit_code in {-signal.SIGKILL, -signal.SIGTERM}

    def cause(self) -> str:
        """What its death is called in the record of the file that it worked on."""
        return "decoder_timeout" if self.is_overdue or self.exit_code == -signal.SIGPROF else "decoder_crashed"

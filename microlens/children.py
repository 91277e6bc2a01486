"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import IO

_PR_SET_PDEATHSIG = 1


def start_child(
    arguments: list[str],
    *,
    environment: dict[str, str] | None = None,
    stdout: IO[bytes] | int | None = None,
    is_own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program that gets SIGTERM should this process be killed (on Linux; elsewhere it may outlive us).

    In a session of its own it does not hear a Ctrl-C at the terminal, and lives until it is stopped.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_parent() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
            if os.getppid() != parent:  # the parent died before the call took effect
                os._exit(1)

    return subprocess.Popen(
        arguments,
        env=environment,
        stdout=stdout,
        stderr=stdout,
        start_new_session=is_own_session,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - it only makes two system calls
    )


def stop_child(process: subprocess.Popen[bytes], *, patience_s: float = 15.0) -> int:
    """Ask a child to end, then make it; give its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()

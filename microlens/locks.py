"""A lock that the system takes back when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from microlens.errors import MicrolensError


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block; wait for whoever holds it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def exclusive(path: Path, taken: MicrolensError) -> Iterator[None]:
    """Hold the lock at `path` for the length of the block; raise `taken` at once if another process holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise taken from error
        yield


@contextlib.contextmanager
def scratch_folder(folder: Path, taken: MicrolensError) -> Iterator[None]:
    """Hold an empty folder for the length of the block, then remove it; raise `taken` at once if another process does.

    What a killed holder left in it is removed first.
    """
    lock = folder / "lock"
    with _locked(lock, taken):
        try:
            _empty(folder, lock)
            yield
        finally:
            # The lock goes last: nothing is removed that its next holder may have made.
            _empty(folder, lock)
            lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()


def _locked(path: Path, taken: MicrolensError) -> TextIO:
    """A locked file that stands at `path`: its last holder may remove it between opening and locking."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:  # also said where the folder went just after it was found
            if error.filename != str(path.parent) or path.parent.is_file() or path.parent.is_symlink():
                raise
            continue
        try:
            file = path.open("w")
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise taken from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _empty(folder: Path, but: Path) -> None:
    for path in folder.iterdir():
        if path != but:
            shutil.rmtree(path, ignore_errors=True)

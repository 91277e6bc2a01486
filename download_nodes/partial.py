"""A file that gathers on disk, and that the next try finds again, in this process or in the next.

It gathers under a name of its own. Once it is worth taking up again it gets its stable name, is locked as long as it is
written, and beside it stands a note of what its bytes are (`Origin`). Small files come and go without either.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from microlens.store import unique_name

if TYPE_CHECKING:
    from io import FileIO

OVERLAP_BYTES = 1 << 10
"""So much of what is there is asked for once more: a server that lies about ranges shows itself."""

_KEPT_FROM_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
_NOTE_SUFFIX = ".origin"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the bytes of a partial file belong to."""

    validator: str
    """A strong ETag or a Last-Modified (RFC 9110, section 13.1.5), or the digest of a playlist."""
    total: int | None = None
    """Bytes of the whole, where the server has said it."""
    pieces: int = 0
    """Of a file in pieces: so many are complete,"""
    pieces_bytes: int = 0
    """and they are so many bytes."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file, to which one may go back."""

    size_bytes: int
    digest: hashlib._Hash


class Partial:
    """One file in the making: `write` it, then `leave` it for the next try, or `drop` what the caller has not taken."""

    def __init__(self, stable: Path) -> None:
        """Take up what stands under the stable name, if its origin is known and nobody writes to it."""
        self._stable = stable
        self._file: FileIO | None = None
        self._is_kept = self._is_left = False
        self.origin: Origin | None = None
        self.path = stable.with_name(unique_name())
        self.restart()
        if os.path.exists(stable):  # noqa: PTH110 - each microsecond counts here: most files are small
            self._take_up()

    def restart(self) -> None:
        """Begin again with nothing."""
        self.size_bytes, self.digest = 0, hashlib.sha256()
        self._drop_origin()
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    def open(self) -> None:
        """Have a file to write to."""
        if self._file is None:
            self._file = self.path.open("w+b", buffering=0)

    def write(self, chunk: bytes) -> None:
        assert self._file is not None, "open the file before it is written"
        written = self._file.write(chunk)
        while written < len(chunk):  # as a disk that fills up does before it says so
            written += self._file.write(chunk[written:])
        self.digest.update(chunk)
        self.size_bytes += len(chunk)
        if self.size_bytes >= _KEPT_FROM_BYTES and not self._is_kept and self.origin is not None:
            self.keep()

    async def go_back(self, size_bytes: int) -> bytes:
        """Go back to an earlier size, and hash what is left anew in a thread, which for a large file takes long.

        Gives the bytes behind it, which are still on the disk until they are written over, or cut off by `cut`. Whoever
        is cancelled here can only `leave` or `drop` the file.
        """
        going = asyncio.ensure_future(asyncio.to_thread(self._go_back, size_bytes))
        try:
            return await asyncio.shield(going)
        except asyncio.CancelledError:
            self._is_left = True
            while not going.done():  # a moment: the thread must not read a file that is closed meanwhile
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([going])
            raise

    def _go_back(self, size_bytes: int) -> bytes:
        assert self._file is not None, "there is nothing to go back in"
        self.size_bytes, self.digest = size_bytes, hashlib.sha256()
        self._file.seek(0)
        left = size_bytes
        while left and not self._is_left and (chunk := self._file.read(min(left, _CHUNK_BYTES))):
            self.digest.update(chunk)
            left -= len(chunk)
        behind = self._file.read(OVERLAP_BYTES)
        self._file.seek(size_bytes)
        return behind

    def tail(self) -> bytes:
        """The last bytes that are there."""
        assert self._file is not None, "there is nothing to read"
        start = max(0, self.size_bytes - OVERLAP_BYTES)
        return os.pread(self._file.fileno(), self.size_bytes - start, start)

    def cut(self) -> None:
        """Cut off what lies behind the present size."""
        assert self._file is not None, "there is nothing to cut"
        self._file.truncate(self.size_bytes)

    def keep(self) -> None:
        """Give the file its stable name, locked, unless another has it, and note its origin beside it."""
        if self._file is None or self.origin is None or self._is_kept or self._stable.exists():
            return
        # Without hard links, or with a disk that is full, a broken transfer begins anew: no reason to end it now.
        with contextlib.suppress(OSError):
            self._note().unlink(missing_ok=True)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.link(self.path, self._stable)
            self.path.unlink()
            self.path, self._is_kept = self._stable, True
            self._write_note(self.origin)

    def set_origin(self, origin: Origin | None) -> None:
        """Say what the bytes belong to; None: nothing that could be asked for again."""
        if origin is None:
            self._drop_origin()
        elif origin != self.origin:
            self.origin = origin
            if self._is_kept:
                self._write_note(origin)

    def mark(self) -> Mark:
        return Mark(self.size_bytes, self.digest.copy())

    def rewind(self, mark: Mark) -> None:
        """Forget what came after a mark."""
        assert self._file is not None, "there is nothing to go back in"
        self.size_bytes, self.digest = mark.size_bytes, mark.digest.copy()
        self._file.seek(self.size_bytes)
        self.cut()

    def leave(self) -> None:
        """Leave what came so far to the next try, if that could use it."""
        if self.size_bytes > OVERLAP_BYTES:
            self.keep()
        if self._is_kept and self.origin is not None:
            self._close()
        else:
            self.drop()

    def drop(self) -> None:
        """Remove the file, unless the caller has taken it, and all that was noted of it."""
        if self._is_kept:
            self._note().unlink(missing_ok=True)
        if self._file is not None:
            self.path.unlink(missing_ok=True)
        self._close()

    def take(self) -> Path:
        """Hand the finished file over under a name of its own, which `drop` leaves alone."""
        path = self.path
        if self._is_kept:
            path = self.path.rename(self._stable.with_name(unique_name()))
            self._note().unlink(missing_ok=True)
        self._close()
        self._file = None
        return path

    def done(self) -> None:
        """All bytes have come; only a lock is held on."""
        if not self._is_kept:
            self._close_file()

    def _take_up(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            file = self._stable.open("r+b", buffering=0)
            if not _lock(file, self._stable):
                file.close()
                return  # another writes to it: this try has a file of its own
            self._file, self.path, self._is_kept = file, self._stable, True
            self.size_bytes = os.fstat(file.fileno()).st_size
            self.origin = self._read_note()
            if self.origin is None:
                self.restart()

    def _note(self) -> Path:
        return self._stable.with_name(self._stable.name + _NOTE_SUFFIX)

    def _write_note(self, origin: Origin) -> None:
        written = self.path.with_name(unique_name())
        written.write_text(json.dumps({**asdict(origin), "boot": _boot_id()}), encoding="utf-8")
        written.replace(self._note())

    def _read_note(self) -> Origin | None:
        """None where there is none, and after a power cut: what was not on the disk then may be zeros now."""
        try:
            told = json.loads(self._note().read_bytes())
            boot = told.pop("boot")
            return Origin(**told) if boot == _boot_id() else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def _drop_origin(self) -> None:
        if self._is_kept and self.origin is not None:
            self._note().unlink(missing_ok=True)
        self.origin = None

    def _close(self) -> None:
        self._close_file()
        self._is_kept = False

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()


def _lock(file: FileIO, path: Path) -> bool:
    """Lock an open file, and make sure that it still is the one of that name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), path.stat())


@cache
def _boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""

"""A store in a folder: objects/ab/abcd…, and tmp/ for what is on its way.

A file's bytes are on the disk before it is renamed to its hash, and the folder's entry before `put` returns: neither a
killed process nor a power cut leaves half a file under a name, or takes back what the ledger was told.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import time
from collections import defaultdict
from functools import cache, cached_property
from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError
from microlens.store import link_or_copy, sha256_of, sync, unique_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

_FEW = 4
"""Up to so many files are synced one by one: the whole file system may have much else to write."""
_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)


class LocalStore:
    """A `microlens.store.WritableStore` on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _tmp(self) -> Path:
        """Made when something is first put there: another machine's store is read, and left as it is."""
        folder = self.root / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, sha256: str) -> Path:
        return self.root / "objects" / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        found = {sha256: _size(self.path(sha256)) for sha256 in hashes}
        return {sha256: size for sha256, size in found.items() if size is not None}

    def objects(self, after: str = "") -> Iterator[tuple[str, int]]:
        top = self.root / "objects"
        for first in _entries(top, after[:2]):
            for name in _entries(top / first, after):
                size = _size(top / first / name)
                if name > after and size is not None and _NAME.fullmatch(name):
                    yield name, size

    def temporary(self) -> Path:
        return self._tmp / unique_name()

    def partial(self, name: str) -> Path:
        return self._tmp / f"{name}.part"

    def check(self) -> None:
        path = self.temporary()
        try:
            path.write_bytes(b"doctor")
            sync(path)
        finally:
            path.unlink(missing_ok=True)

    def put(self, temporary: Path, sha256: str) -> None:
        sync(temporary)
        for folder in self._name(temporary, sha256):
            sync(folder)

    def put_many(self, finished: Sequence[tuple[Path, str]]) -> None:
        """One sync of the file system before all the renames and one after: 20 times as fast as two for each file."""
        if len(finished) <= _FEW:
            for temporary, sha256 in finished:
                self.put(temporary, sha256)
            return
        # Opened first, so that it is told of every write that fails from here on.
        root = os.open(self.root, os.O_RDONLY)
        try:
            _sync_all(root, (temporary for temporary, _ in finished))
            folders = {folder for temporary, sha256 in finished for folder in self._name(temporary, sha256)}
            _sync_all(root, folders)
        finally:
            os.close(root)

    def sweep(self, older_than_s: float) -> None:
        """What begins alike up to the first dot (a picture, its sound, notes of both) lives as long as any of it."""
        written: defaultdict[str, dict[Path, float]] = defaultdict(dict)
        for path in self._tmp.iterdir():
            with contextlib.suppress(FileNotFoundError):  # whose it was has finished with it
                written[path.name.partition(".")[0]][path] = path.stat().st_mtime
        for together in written.values():
            if time.time() - max(together.values()) > older_than_s:
                for path in together:
                    path.unlink(missing_ok=True)

    def verify(self, sha256: str) -> None:
        path = self.path(sha256)
        found = sha256_of(path) if path.exists() else "nothing"
        if found != sha256:
            raise CorruptDataError(
                f"the stored file {path} holds {found}, not {sha256}",
                hint="delete it, then run `microlens-build work`: it is fetched again",
            )

    def link(self, sha256: str, target: Path) -> None:
        """A hard link, or a copy where the file systems differ; the bytes themselves are not read again here."""
        if not self.has(sha256):
            raise CorruptDataError(
                f"the store has lost {self.path(sha256)}",
                hint="run `microlens-build work`: what the store has lost is fetched again; what another machine keeps "
                "comes by `microlens-build integrate --from URL`",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        # What stands there may be a link to another stored file, whose bytes a copy would change.
        target.unlink(missing_ok=True)
        link_or_copy(self.path(sha256), target)

    def _name(self, temporary: Path, sha256: str) -> list[Path]:
        """Move a file whose bytes are on the disk under its hash; gives the folders that are to be synced."""
        target = self.path(sha256)
        folder = target.parent
        size = _size(target)
        if size is not None and size == temporary.stat().st_size:
            temporary.unlink()
            return [folder]  # whoever has put it there may not have come to sync it yet
        # A release's files are second names of these: nobody is to write into them by mistake.
        temporary.chmod(0o444)
        try:
            temporary.replace(target)  # of another size is only what a broken disk has left there
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)
            return [folder, folder.parent, self.root]
        return [folder]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _entries(folder: Path, least: str) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.name >= least)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _sync_all(root: int, paths: Iterable[Path]) -> None:
    """Have these files or folders on the disk, by one call for their whole file system where there is one."""
    syncfs = _syncfs()
    if syncfs is None:
        for path in paths:
            sync(path)
    elif syncfs(root) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"syncfs: {os.strerror(code)}")


@cache
def _syncfs() -> ctypes._NamedFuncPointer | None:
    """syncfs(2), which Python has no name for; it waits for the disk and, from Linux 5.8 on, tells of failed writes."""
    if sys.platform != "linux":
        return None
    call: ctypes._NamedFuncPointer = ctypes.CDLL(None, use_errno=True).syncfs
    return call

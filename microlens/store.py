"""Content-addressed bytes: a file's name is the SHA-256 of what it holds.

A file is written under `tmp/`, checked by its writer, and renamed into place: whatever stands under its hash is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from typing import TYPE_CHECKING

from microlens.addresses import canonical_url
from microlens.errors import CorruptDataError

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK_BYTES = 1 << 20


class Store:
    """A local folder of files named by their hash, two levels deep: objects/ab/cd/abcd…."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tmp = root / "tmp"
        self._tmp.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self.root / "objects" / sha256[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def temporary(self) -> Path:
        """A new path on the store's own file system; the caller writes it and hands it to `put`, or removes it."""
        return self._tmp / uuid.uuid4().hex

    def partial(self, url: str) -> Path:
        """Where a longer file of a URL gathers: the same path at every try, whoever makes it."""
        return self._tmp / f"{hashlib.sha256(canonical_url(url).encode()).hexdigest()}.part"

    def put(self, temporary: Path, sha256: str) -> Path:
        """Move a finished temporary file under its hash; a file that is already there stays as it is."""
        target = self.path(sha256)
        if target.exists():
            temporary.unlink()
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        sync(temporary)
        # A release's files are second names of these: nobody is to write into them by mistake.
        temporary.chmod(0o444)
        temporary.replace(target)
        return target

    def verify(self, sha256: str) -> None:
        """Raise CorruptDataError unless the stored bytes are those of the name."""
        path = self.path(sha256)
        found = sha256_of(path) if path.exists() else "nothing"
        if found != sha256:
            raise CorruptDataError(
                f"the stored file {path} holds {found}, not {sha256}",
                hint="delete it, then run `microlens-build work`: it is fetched again",
            )

    def link(self, sha256: str, target: Path) -> None:
        """Give a stored file a second name (a hard link; a copy where the file systems differ).

        CorruptDataError if the store has lost it; the bytes themselves are not read again here.
        """
        if not self.has(sha256):
            raise CorruptDataError(
                f"the store has lost {self.path(sha256)}",
                hint="run `microlens-build work`: what the store has lost is fetched again",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        # What stands there may be a link to another stored file, whose bytes a copy would change.
        target.unlink(missing_ok=True)
        try:
            os.link(self.path(sha256), target)
        except OSError:
            shutil.copyfile(self.path(sha256), target)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Have a file, or a folder's entries, on the disk: a power cut could leave an empty file under a right name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

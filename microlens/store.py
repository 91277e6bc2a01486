"""Content-addressed bytes: a file's name is the SHA-256 of what it holds, and whatever stands under a name is whole.

A writer streams to a temporary file, knows its hash when it is complete, and hands both over. What a store can do is
said here; `microlens.local_store` keeps a folder, `microlens.s3_store` a bucket, and `microlens.export_store` reads
what a download node exports.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import shutil
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

_NUMBERS = itertools.count()


class Store(Protocol):
    """What can be read of any store."""

    def has(self, sha256: str) -> bool: ...

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        """Sizes in bytes of those that are there."""
        ...

    def objects(self, after: str = "") -> Iterator[tuple[str, int]]:
        """(hash, size in bytes) of every object whose hash is greater than `after`, in the order of their hashes."""
        ...

    def verify(self, sha256: str) -> None:
        """Raise CorruptDataError unless the stored bytes are those of the name."""
        ...

    def link(self, sha256: str, target: Path) -> None:
        """Give an object a second name on this machine; what stands there makes room for it.

        CorruptDataError if the store has lost it. It is a hard link where the file system can: not to be written to.
        """
        ...


class WritableStore(Store, Protocol):
    """A store that nodes put files into. Every method may be called from several threads and processes at once."""

    def temporary(self) -> Path:
        """A new path for a file that is on its way; the caller writes it and hands it to `put`, or removes it."""
        ...

    def partial(self, name: str) -> Path:
        """Where a longer file gathers that goes by this name: the same path at every try, whoever makes it."""
        ...

    def put(self, temporary: Path, sha256: str) -> None:
        """Take over a finished temporary file; once this returns, a power cut takes nothing away.

        An object that is there already stays as it is. OSError if this machine cannot (a full disk keeps its ENOSPC).
        """
        ...

    def put_many(self, finished: Sequence[tuple[Path, str]]) -> None:
        """`put` for many files (temporary file, hash) at a fraction of its cost each.

        Should it raise, some may have been taken over, each of them whole; the others' temporary files are left.
        """
        ...

    def check(self) -> None:
        """Write, read and remove something: OSError or StoreUnreachableError where that cannot be done."""
        ...

    def sweep(self, older_than_s: float) -> None:
        """Remove the temporary files that nobody has written to for so long: a killed process left them."""
        ...


def unique_name() -> str:
    """A name that no other file has, at no system call: a random word of this process, and a number."""
    return f"{_word_of(os.getpid())}-{next(_NUMBERS):x}"


@cache
def _word_of(_process: int) -> str:
    return secrets.token_hex(12)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_chunks(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file systems differ or know no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sync(path: Path) -> None:
    """Have a file, or a folder's entries, on the disk: a power cut could leave an empty file under a right name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A store of ours beside one elsewhere: what was fetched is kept under the same hashes, and fetched once."""

from __future__ import annotations

import fcntl
import hashlib
import time
from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError
from microlens.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from io import BufferedRandom

    from microlens.store import WritableStore


def fetch_into(
    store: WritableStore,
    sha256: str,
    read: Callable[[int], Iterable[bytes]],
    *,
    source: str,
    at_most: int | None = None,
) -> None:
    """Have an object in a store of ours as well; `read(offset)` gives its bytes from there to its end.

    What an earlier attempt has left is completed, whole or not at all stands under the hash, and two processes that
    want the same object fetch it once. `at_most` is its size in bytes, where that is known. CorruptDataError if
    `source` gives other bytes than the name says, StoreUnreachableError if it gives them too slowly (microlens.pace).
    """
    if store.has(sha256):
        return
    partial = store.partial(sha256)
    with partial.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if store.has(sha256):  # whoever held the lock has fetched it
            partial.unlink(missing_ok=True)
            return
        for _ in range(2):  # what was left may be broken: then once more from the start
            if complete(file, read, source=source, at_most=at_most) == sha256:
                store.put(partial, sha256)
                return
            file.truncate(0)
        partial.unlink()
    raise CorruptDataError(
        f"{source} gives other bytes for {sha256}", hint="delete it there, then run `microlens-build work`"
    )


def complete(
    file: BufferedRandom, read: Callable[[int], Iterable[bytes]], *, source: str, at_most: int | None = None
) -> str:
    """Append to a file what it lacks, `read(offset)` giving the bytes from there on; gives the hash of it all.

    Of what goes on after `at_most` bytes no more is read: whatever it is, its hash is another.
    """
    pace = Pace(source)
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256")
    asked = time.monotonic()
    for more in read(file.tell()):
        pace.add(time.monotonic() - asked, len(more))
        digest.update(more)
        file.write(more)
        if at_most is not None and file.tell() > at_most:
            break
        asked = time.monotonic()
    file.flush()
    return digest.hexdigest()

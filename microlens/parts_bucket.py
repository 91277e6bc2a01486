"""Parts in a bucket, parts/RUN/PART_ID.parquet: machines without a common disk then need no export to pull from.

A part is put there when it is written, and before the ledger lists it; so what a process that died has left there is
never asked for. Who pulls a part checks it against the hash that the ledger has.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError, StoreUnreachableError
from microlens.store import sha256_of_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microlens.bucket import Bucket
    from microlens.ledger_rows import Part


class PartsBucket:
    """The parts of one run, by the name that no other run shares."""

    def __init__(self, bucket: Bucket, run_name: str) -> None:
        self._bucket, self._folder = bucket, f"parts/{run_name}"

    @property
    def url(self) -> str:
        return self._bucket.url

    def keep(self, part: Part, path: Path) -> Part:
        """Put a part's file there, and say of the part that it is kept there.

        StoreUnreachableError if that cannot be done, CorruptDataError if something else stands under its key.
        """
        key = self._key(part)
        # A request that was answered and whose answer was lost is sent again, and then finds what it has made.
        if not self._bucket.create(key, path) and self._hash_of(key) != part.sha256:
            raise CorruptDataError(
                f"{self.url} holds something else under {key}, where a new part was to be put",
                hint="nobody but nodes may write there: see who does; nothing was overwritten",
            )
        return replace(part, kept_at=self.url)

    def discard(self, part: Part) -> None:
        """Remove a part that the ledger did not take. Where that fails it stays: nobody asks for it."""
        with contextlib.suppress(StoreUnreachableError):
            self._bucket.delete(self._key(part))

    def sizes(self) -> dict[str, int]:
        """Sizes in bytes of all parts that are there, by part id."""
        return {
            key.removeprefix(f"{self._folder}/").removesuffix(".parquet"): size
            for key, size in self._bucket.listed(self._folder)
        }

    def read(self, part: Part, offset: int) -> Iterator[bytes]:
        """A part's bytes from an offset on; CorruptDataError if it is not there."""
        key = self._key(part)
        size = self._bucket.size(key)
        if size is None:
            raise CorruptDataError(
                f"{self.url} has lost {key}", hint="pull it from the machine that wrote it, or restore it from a backup"
            )
        yield from self._bucket.read(key, offset, size)

    def _key(self, part: Part) -> str:
        return f"{self._folder}/{part.part_id}.parquet"

    def _hash_of(self, key: str) -> str:
        return sha256_of_chunks(self._bucket.read(key, 0, self._bucket.size(key) or 0))

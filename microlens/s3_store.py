"""A store in a bucket: objects/ab/cd/abcd… below the prefix of its address (microlens.bucket).

An object appears whole or not at all: small files by one create-only PUT, larger ones by an upload in parts that
becomes visible when it is complete.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property, partial
from typing import TYPE_CHECKING

from microlens.bucket import PATIENCE_S, PIECE_BYTES, Bucket
from microlens.errors import CorruptDataError
from microlens.logs import log
from microlens.store import sha256_of_chunks
from microlens.store_cache import fetch_into

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from microlens.local_store import LocalStore

_AT_ONCE = 16
"""Requests of one process at the same time."""
_FEW = 1000
"""Objects that are asked for one by one; of more, whole folders are listed, a thousand a request."""


class S3Store:
    """A `microlens.store.WritableStore`; `local` holds what is on its way, and what was fetched."""

    def __init__(
        self, bucket: str, prefix: str, local: LocalStore, *, allow_http: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self.bucket = Bucket(bucket, prefix, allow_http=allow_http, patience_s=patience_s)
        self._local = local

    @property
    def url(self) -> str:
        return self.bucket.url

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3")

    def has(self, sha256: str) -> bool:
        return self._size(sha256) is not None

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        if len(hashes) <= _FEW:
            found = dict(zip(hashes, self._pool.map(self._size, hashes), strict=True))
            return {sha256: size for sha256, size in found.items() if size is not None}
        wanted = set(hashes)
        listed = self._pool.map(lambda folder: dict(self._listed(f"objects/{folder}")), sorted({h[:2] for h in wanted}))
        return {sha256: size for part in listed for sha256, size in part.items() if sha256 in wanted}

    def objects(self, after: str = "") -> Iterator[tuple[str, int]]:
        return self._listed("objects", offset=_key(after) if after else None)

    def temporary(self) -> Path:
        return self._local.temporary()

    def partial(self, name: str) -> Path:
        return self._local.partial(name)

    def check(self) -> None:
        self.bucket.check()

    def sweep(self, older_than_s: float) -> None:
        self._local.sweep(older_than_s)

    def put(self, temporary: Path, sha256: str) -> None:
        size = temporary.stat().st_size
        if size <= PIECE_BYTES:
            is_new = self.bucket.create(_key(sha256), temporary)
        else:
            is_new = self._size(sha256) is None
            if is_new:
                self.bucket.upload(_key(sha256), temporary)
        if not is_new and self._size(sha256) != size:
            log.warning("store_mended", store=self.url, sha256=sha256)
            self.bucket.upload(_key(sha256), temporary)
        temporary.unlink()

    def put_many(self, finished: Sequence[tuple[Path, str]]) -> None:
        # Each hash by one thread alone: equal files of a batch would race for nothing.
        by_hash: dict[str, list[Path]] = {}
        for temporary, sha256 in finished:
            by_hash.setdefault(sha256, []).append(temporary)
        puts = [self._pool.submit(self._put_one, equal) for equal in by_hash.items()]
        wait(puts)
        for done in puts:
            done.result()

    def _put_one(self, equal: tuple[str, list[Path]]) -> None:
        sha256, (first, *others) = equal
        self.put(first, sha256)
        for temporary in others:
            temporary.unlink()

    def verify(self, sha256: str) -> None:
        found = sha256_of_chunks(self.read(sha256))
        if found != sha256:
            raise CorruptDataError(
                f"{self.url} holds {found} under {_key(sha256)}",
                hint="delete it, then run `microlens-build work`: it is fetched again",
            )

    def link(self, sha256: str, target: Path) -> None:
        """Second name of the local copy, which is made first if need be, and whose hash is checked then."""
        fetch_into(self._local, sha256, partial(self.read, sha256), source=self.url)
        self._local.link(sha256, target)

    def read(self, sha256: str, offset: int = 0) -> Iterator[bytes]:
        """An object's bytes from an offset on; CorruptDataError if it is not there."""
        size = self._size(sha256)
        if size is None:
            raise CorruptDataError(
                f"{self.url} has lost {_key(sha256)}",
                hint="run `microlens-build work`: what the store has lost is fetched again",
            )
        yield from self.bucket.read(_key(sha256), offset, size)

    def close(self) -> None:
        """End the threads that ask; what is asked again starts them anew."""
        if (pool := self.__dict__.pop("_pool", None)) is not None:
            pool.shutdown()

    def _size(self, sha256: str) -> int | None:
        return self.bucket.size(_key(sha256))

    def _listed(self, folder: str, offset: str | None = None) -> Iterator[tuple[str, int]]:
        for key, size in self.bucket.listed(folder, offset):
            sha256 = key.rpartition("/")[2]
            if key == _key(sha256):
                yield sha256, size


def _key(sha256: str) -> str:
    return f"objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"

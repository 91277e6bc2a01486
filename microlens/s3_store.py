"""A store in a bucket: objects/ab/cd/abcd… below the prefix of its address, through obstore.

An object appears whole or not at all: small files by one create-only PUT, larger ones by an upload in parts that
becomes visible when it is complete. Every request is signed over the hash of its body, so that what arrives damaged is
refused. Credentials, region and endpoint come from the usual AWS_* variables.
"""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from microlens.errors import CorruptDataError, RecipeError, StoreUnreachableError
from microlens.logs import log
from microlens.store import unique_name
from microlens.store_cache import fetch_into

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from obstore.store import S3Store as Bucket

    from microlens.local_store import LocalStore

PATIENCE_S = 120.0
"""A request that fails for a cause that may pass is sent again for so long."""
_PART_BYTES = 8 << 20
"""A file is sent and read in pieces of so much; no more than a few of them are in memory."""
_PARTS_AT_ONCE = 4
_AT_ONCE = 16
"""Requests of one process at the same time."""
_FEW = 1000
"""Objects that are asked for one by one; of more, whole folders are listed, a thousand a request."""

_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: they must list, read and write there"
# obstore has a class for few of these, and not in every request.
_CAUSES = {
    "NoSuchBucket": ("there is no such bucket", "make it, or correct MICROLENS_STORE_URL"),
    "401 Unauthorized": ("these credentials are refused", _CREDENTIALS),
    "403 Forbidden": ("these credentials are refused", _CREDENTIALS),
    "169.254.169.254": ("there are no credentials", _CREDENTIALS),
    "BadScheme": (
        "its endpoint is plain http",
        "give AWS_ENDPOINT_URL an https address, or set MICROLENS_STORE_ALLOW_HTTP=true on a network of your own",
    ),
}
"""What is in an error's text -> what is wrong, and what to do."""


class S3Store:
    """A `microlens.store.WritableStore`; `local` holds what is on its way, and what was fetched."""

    def __init__(
        self, bucket: str, prefix: str, local: LocalStore, *, allow_http: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self._name, self._prefix, self._local = bucket, prefix, local
        self._allow_http, self._patience_s = allow_http, patience_s

    @property
    def url(self) -> str:
        return f"s3://{self._name}/{self._prefix}".rstrip("/")

    @cached_property
    def _bucket(self) -> Bucket:
        """Opened when it is first used: a process that has no business with media needs neither it nor obstore."""
        try:
            from obstore.store import S3Store as Bucket  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise RecipeError(
                f"the store {self.url} needs obstore, which is not installed", hint="pip install 'microlens-build[s3]'"
            ) from error
        bucket = Bucket(
            self._name,
            prefix=self._prefix or None,
            client_options={"allow_http": self._allow_http},
            retry_config={"retry_timeout": timedelta(seconds=self._patience_s)},
        )
        with self._explained():
            # A missing bucket is told like a missing object: a slip in its name must not make all objects lost.
            next(iter(_obstore().list(bucket, chunk_size=1)), None)
        return bucket

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
        """An object beside the media, made as theirs are; it stays where the credentials may not delete."""
        bucket, key = self._bucket, f"doctor/{unique_name()}"
        with self._explained():
            _obstore().put(bucket, key, b"doctor", mode="create")
            _obstore().get(bucket, key)
        with contextlib.suppress(_obstore().exceptions.BaseError):
            _obstore().delete(bucket, key)

    def sweep(self, older_than_s: float) -> None:
        self._local.sweep(older_than_s)

    def put(self, temporary: Path, sha256: str) -> None:
        size = temporary.stat().st_size
        if size <= _PART_BYTES:
            is_new = self._create(temporary, sha256)
        else:
            is_new = self._size(sha256) is None
            if is_new:
                self._upload(temporary, sha256)
        if not is_new and self._size(sha256) != size:
            log.warning("store_mended", store=self.url, sha256=sha256)
            self._upload(temporary, sha256)
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
        digest = hashlib.sha256()
        for chunk in self.read(sha256):
            digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise CorruptDataError(
                f"{self.url} holds {digest.hexdigest()} under {_key(sha256)}",
                hint="delete it, then run `microlens-build work`: it is fetched again",
            )

    def link(self, sha256: str, target: Path) -> None:
        """Second name of the local copy, which is made first if need be, and whose hash is checked then."""
        fetch_into(self._local, sha256, partial(self.read, sha256), source=self.url)
        self._local.link(sha256, target)

    def read(self, sha256: str, offset: int = 0) -> Iterator[bytes]:
        """An object's bytes from an offset on; CorruptDataError if it is not there."""
        bucket, size = self._bucket, self._size(sha256)
        if size is None:
            raise CorruptDataError(
                f"{self.url} has lost {_key(sha256)}",
                hint="run `microlens-build work`: what the store has lost is fetched again",
            )
        for start in range(offset, size, _PART_BYTES):
            with self._explained():
                piece = _obstore().get_range(bucket, _key(sha256), start=start, end=min(start + _PART_BYTES, size))
            yield bytes(piece)

    def close(self) -> None:
        """End the threads that ask; what is asked again starts them anew."""
        if (pool := self.__dict__.pop("_pool", None)) is not None:
            pool.shutdown()

    # --- requests ---

    def _size(self, sha256: str) -> int | None:
        bucket = self._bucket
        with self._explained():
            try:
                return int(_obstore().head(bucket, _key(sha256))["size"])
            except FileNotFoundError:
                return None

    def _create(self, temporary: Path, sha256: str) -> bool:
        """One PUT, unless the object is there."""
        bucket = self._bucket
        with self._explained():
            try:
                _obstore().put(bucket, _key(sha256), temporary, mode="create")
            except _obstore().exceptions.AlreadyExistsError:
                return False
        return True

    def _upload(self, temporary: Path, sha256: str) -> None:
        bucket = self._bucket
        with self._explained():
            _obstore().put(bucket, _key(sha256), temporary, chunk_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    def _listed(self, folder: str, offset: str | None = None) -> Iterator[tuple[str, int]]:
        bucket = self._bucket
        with self._explained():
            for chunk in _obstore().list(bucket, prefix=folder, offset=offset):
                for meta in chunk:
                    sha256 = meta["path"].rpartition("/")[2]
                    if meta["path"] == _key(sha256):
                        yield sha256, meta["size"]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what obstore raises into a StoreUnreachableError that says what to do."""
        try:
            yield
        except (FileNotFoundError, _obstore().exceptions.BaseError) as error:
            text = str(error)
            message, hint = next(
                (told for mark, told in _CAUSES.items() if mark in text),
                (text.partition("\n")[0][:500], "nothing is lost: see that it answers, then run the same command"),
            )
            raise StoreUnreachableError(f"{self.url}: {message}", hint=hint) from error


def _obstore() -> Any:
    import obstore  # noqa: PLC0415 - an extra

    return obstore


def _key(sha256: str) -> str:
    return f"objects/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]

"""A bucket and a prefix in it, through obstore: objects under keys, whole or not there at all.

Every request is signed over the hash of its body, so that what arrives damaged is refused. Credentials, region and
endpoint come from the usual AWS_* variables, and stand in no address.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from microlens.errors import RecipeError, StoreUnreachableError
from microlens.store import unique_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore.store import S3Store as Opened

PATIENCE_S = 120.0
"""A request that fails for a cause that may pass is sent again for so long."""
PIECE_BYTES = 8 << 20
"""A file is sent and read in pieces of so much; no more than a few of them are in memory."""
_PIECES_AT_ONCE = 4

_CREDENTIALS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: they must list, read and write there"
# obstore has a class for few of these, and not in every request.
_CAUSES = {
    "NoSuchBucket": ("there is no such bucket", "make it, or correct this address"),
    "401 Unauthorized": ("these credentials are refused", _CREDENTIALS),
    "403 Forbidden": ("these credentials are refused", _CREDENTIALS),
    "169.254.169.254": ("there are no credentials", _CREDENTIALS),
    "BadScheme": (
        "its endpoint is plain http",
        "give AWS_ENDPOINT_URL an https address, or set MICROLENS_STORE_ALLOW_HTTP=true on a network of your own",
    ),
}
"""What is in an error's text -> what is wrong, and what to do."""


class Bucket:
    """Keys are relative to the prefix; every method may raise StoreUnreachableError, which says what to do."""

    def __init__(self, name: str, prefix: str, *, allow_http: bool = False, patience_s: float = PATIENCE_S) -> None:
        self._name, self._prefix = name, prefix
        self._allow_http, self._patience_s = allow_http, patience_s

    @property
    def url(self) -> str:
        return f"s3://{self._name}/{self._prefix}".rstrip("/")

    @cached_property
    def opened(self) -> Opened:
        """Opened when it is first used: a process that has no business with it needs neither it nor obstore."""
        try:
            from obstore.store import S3Store as Opened  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise RecipeError(
                f"the store {self.url} needs obstore, which is not installed", hint="pip install 'microlens-build[s3]'"
            ) from error
        opened = Opened(
            self._name,
            prefix=self._prefix or None,
            client_options={"allow_http": self._allow_http},
            retry_config={"retry_timeout": timedelta(seconds=self._patience_s)},
        )
        with self._explained():
            # A missing bucket is told like a missing object: a slip in its name must not make all objects lost.
            next(iter(_obstore().list(opened, chunk_size=1)), None)
        return opened

    def size(self, key: str) -> int | None:
        """An object's bytes; None if it is not there."""
        opened = self.opened
        with self._explained():
            try:
                return int(_obstore().head(opened, key)["size"])
            except FileNotFoundError:
                return None

    def read(self, key: str, offset: int, size: int) -> Iterator[bytes]:
        """The bytes from an offset on of an object that has `size` of them."""
        opened = self.opened
        for start in range(offset, size, PIECE_BYTES):
            with self._explained():
                piece = _obstore().get_range(opened, key, start=start, end=min(start + PIECE_BYTES, size))
            yield bytes(piece)

    def create(self, key: str, file: Path) -> bool:
        """Put a file by one request, unless an object is there: then it stays as it is, and False is given."""
        opened = self.opened
        with self._explained():
            try:
                _obstore().put(opened, key, file, mode="create", use_multipart=False)
            except _obstore().exceptions.AlreadyExistsError:
                return False
        return True

    def upload(self, key: str, file: Path) -> None:
        """Put a file in pieces, whatever is there; it becomes visible when it is complete."""
        opened = self.opened
        with self._explained():
            _obstore().put(opened, key, file, chunk_size=PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE)

    def delete(self, key: str) -> None:
        opened = self.opened
        with self._explained():
            _obstore().delete(opened, key)

    def listed(self, folder: str, offset: str | None = None) -> Iterator[tuple[str, int]]:
        """Keys below a folder, and sizes in bytes, in order; those after `offset`, if one is given."""
        opened = self.opened
        with self._explained():
            for chunk in _obstore().list(opened, prefix=folder, offset=offset):
                for meta in chunk:
                    yield meta["path"], meta["size"]

    def check(self) -> None:
        """Make and read an object as others are made; it stays where the credentials may not delete."""
        opened, key = self.opened, f"doctor/{unique_name()}"
        with self._explained():
            _obstore().put(opened, key, b"doctor", mode="create")
            _obstore().get(opened, key)
        with contextlib.suppress(_obstore().exceptions.BaseError):
            _obstore().delete(opened, key)

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

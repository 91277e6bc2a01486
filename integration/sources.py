"""What files are pulled from: another machine's export, its run's folder where that is mounted, or a store alone.

A store alone, be it a bucket or a folder, has media by their hashes; a bucket may have the run's parts as well.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from microlens.errors import CorruptDataError, RecipeError, StoreUnreachableError
from microlens.export_store import ExportStore
from microlens.export_tokens import export_key, make_token
from microlens.local_store import LocalStore
from microlens.parts_bucket import PartsBucket
from microlens.s3_store import S3Store
from microlens.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microlens.ledger_rows import Part
    from microlens.runs import Run
    from microlens.settings import Settings

_TOKEN_S = 31 * 24 * 3600
_CHUNK_BYTES = 1 << 20


class Source(Protocol):
    """For one thread at a time.

    StoreUnreachableError or OSError from any method: it gives nothing any more. CorruptDataError: not this file.
    """

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        """Sizes in bytes of those media files that are there."""
        ...

    def parts(self, wanted: Collection[Part]) -> dict[str, int]:
        """Sizes in bytes of those parts that are there, by part id."""
        ...

    def read(self, sha256: str, offset: int, at_most: int, /) -> Iterator[bytes]:
        """A media file's bytes from an offset on; CorruptDataError if it is known to have more than `at_most`."""
        ...

    def read_part(self, part: Part, offset: int, at_most: int, /) -> Iterator[bytes]:
        """A part's bytes from an offset on, as those of a media file."""
        ...

    def close(self) -> None: ...


def open_source(url: str, run: Run, settings: Settings, ca_file: Path | None = None) -> Source:
    """Open http(s)://HOST:PORT of an export, file:///FOLDER of a run or a store, or s3://BUCKET/PREFIX.

    StoreUnreachableError for a folder that is not there; RecipeError for any other address, or without a token.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        folder = Path(unquote(parts.path))
        if (folder / "run.json").exists():
            return FolderSource(folder)
        if (folder / "objects").exists():
            return FolderStoreSource(LocalStore(folder))
        raise StoreUnreachableError(
            f"{folder} holds neither a run (run.json) nor a store (objects)", hint="mount it, or correct --from"
        )
    if parts.scheme == "s3":
        store = open_store(run.folder / "store", url, allow_http=settings.store_allow_http)
        assert isinstance(store, S3Store), "the scheme says so"
        return BucketSource(store, PartsBucket(store.bucket, run.shared_name))
    if parts.scheme in {"http", "https"}:
        local = LocalStore(run.folder / "store")
        return ExportSource(ExportStore(url, _token(run, settings), local, ca_file=ca_file))
    raise RecipeError(
        f"nothing can be pulled from {url!r}",
        hint="give http(s)://HOST:PORT of an export, file:///FOLDER of a run or a store, or s3://BUCKET/PREFIX",
    )


def _token(run: Run, settings: Settings) -> str:
    """The token given, or one of our own making where the exports' key is known here."""
    if settings.export_token is not None:
        return settings.export_token.get_secret_value()
    if settings.export_key is not None:
        key = export_key(run.folder / "private" / "export.key", settings.export_key.get_secret_value())
        return make_token(key, run.shared_name, int(time.time()) + _TOKEN_S)
    raise RecipeError(
        "no token opens the exports that are to be read",
        hint="set MICROLENS_EXPORT_TOKEN to what `microlens-build export RUN --make-token` prints there, "
        "or MICROLENS_EXPORT_KEY to the key of all exports",
    )


class ExportSource:
    def __init__(self, export: ExportStore) -> None:
        self._export = export

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return self._export.sizes(hashes)

    def parts(self, wanted: Collection[Part]) -> dict[str, int]:
        ids = {part.part_id for part in wanted}
        return {part_id: size for part_id, size in self._export.parts() if part_id in ids}

    def read(self, sha256: str, offset: int, at_most: int) -> Iterator[bytes]:
        return self._export.read(sha256, offset, at_most)

    def read_part(self, part: Part, offset: int, at_most: int) -> Iterator[bytes]:
        return self._export.read_part(part.part_id, part.sha256, offset, at_most)

    def close(self) -> None:
        self._export.close()


class BucketSource:
    """A bucket that other machines keep media in, or parts, or both."""

    def __init__(self, store: S3Store, parts: PartsBucket) -> None:
        self._store, self._parts = store, parts

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return self._store.sizes(hashes)

    def read(self, sha256: str, offset: int, _at_most: int) -> Iterator[bytes]:
        return self._store.read(sha256, offset)

    def parts(self, wanted: Collection[Part]) -> dict[str, int]:
        ids = {part.part_id for part in wanted}
        return {part_id: size for part_id, size in self._parts.sizes().items() if part_id in ids}

    def read_part(self, part: Part, offset: int, _at_most: int) -> Iterator[bytes]:
        return self._parts.read(part, offset)

    def close(self) -> None:
        self._store.close()


class FolderStoreSource:
    """A folder that another machine keeps its media in, mounted here; it has no parts, and nothing is written there."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return self._store.sizes(hashes)

    def read(self, sha256: str, offset: int, _at_most: int) -> Iterator[bytes]:
        return _bytes_of(self._store.path(sha256), offset, self._store.root / "objects")

    def parts(self, _wanted: Collection[Part]) -> dict[str, int]:
        return {}

    def read_part(self, part: Part, _offset: int, _at_most: int) -> Iterator[bytes]:
        raise CorruptDataError(f"a folder of media has no part {part.path}", hint="name who keeps it with --from")

    def close(self) -> None:
        """Nothing of it is open."""


class FolderSource:
    """Another machine's folder of the same run, mounted here; nothing is written there."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._store = folder, LocalStore(folder / "store")

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return self._store.sizes(hashes)

    def parts(self, wanted: Collection[Part]) -> dict[str, int]:
        paths = {part.part_id: self._folder / part.path for part in wanted}
        return {part_id: path.stat().st_size for part_id, path in paths.items() if path.is_file()}

    def read(self, sha256: str, offset: int, _at_most: int) -> Iterator[bytes]:
        return _bytes_of(self._store.path(sha256), offset, self._folder / "run.json")

    def read_part(self, part: Part, offset: int, _at_most: int) -> Iterator[bytes]:
        return _bytes_of(self._folder / part.path, offset, self._folder / "run.json")

    def close(self) -> None:
        """Nothing of it is open."""


def _bytes_of(path: Path, offset: int, landmark: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        if not landmark.exists():  # it raises another OSError, or says no, where the whole mount is gone
            raise
        raise CorruptDataError(f"{path} cannot be read: {error.strerror}", hint="see to that disk") from error

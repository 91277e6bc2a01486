"""What files are pulled from: another machine's export over HTTP, or its run's folder where that can be seen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from microlens.errors import CorruptDataError, RecipeError
from microlens.export_store import ExportStore
from microlens.export_tokens import export_key, make_token
from microlens.ledger_rows import PART_KINDS
from microlens.local_store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microlens.ledger_rows import Part
    from microlens.runs import Run
    from microlens.settings import Settings

_TOKEN_S = 31 * 24 * 3600
_CHUNK_BYTES = 1 << 20


class Source(Protocol):
    """For one thread at a time. StoreUnreachableError from any method: it gives nothing any more."""

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        """Sizes in bytes of those media files that are there."""
        ...

    def parts(self) -> dict[str, int]:
        """The size in bytes of each part that is there, by part id."""
        ...

    def read(self, sha256: str, offset: int) -> Iterator[bytes]:
        """A media file's bytes from an offset on."""
        ...

    def read_part(self, part: Part, offset: int) -> Iterator[bytes]:
        """A part's bytes from an offset on."""
        ...

    def close(self) -> None: ...


def open_source(url: str, run: Run, settings: Settings, ca_file: Path | None = None) -> Source:
    """Open http(s)://HOST:PORT or file:///FOLDER-OF-THE-RUN; RecipeError for what is neither, or has no token."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return FolderSource(Path(unquote(parts.path)), run)
    if parts.scheme in {"http", "https"}:
        local = LocalStore(run.folder / "store")
        return ExportSource(ExportStore(url, _token(run, settings), local, ca_file=ca_file))
    raise RecipeError(
        f"nothing can be pulled from {url!r}", hint="give http(s)://HOST:PORT of an export, or file:///FOLDER of a run"
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

    def parts(self) -> dict[str, int]:
        return dict(self._export.parts())

    def read(self, sha256: str, offset: int) -> Iterator[bytes]:
        return self._export.read(sha256, offset)

    def read_part(self, part: Part, offset: int) -> Iterator[bytes]:
        return self._export.read_part(part.part_id, part.sha256, offset)

    def close(self) -> None:
        self._export.close()


class FolderSource:
    """Another machine's folder of the same run, mounted here."""

    def __init__(self, folder: Path, run: Run) -> None:
        if not (folder / "run.json").exists():
            raise RecipeError(f"{folder} is no run's folder: it has no run.json", hint="mount it, or correct --from")
        self._folder, self._store, self._run = folder, LocalStore(folder / "store"), run

    def sizes(self, hashes: Collection[str]) -> dict[str, int]:
        return self._store.sizes(hashes)

    def parts(self) -> dict[str, int]:
        listed = [part for kind in PART_KINDS for part in self._run.ledger.parts(kind)]
        paths = {part.part_id: self._folder / part.path for part in listed}
        return {part_id: path.stat().st_size for part_id, path in paths.items() if path.is_file()}

    def read(self, sha256: str, offset: int) -> Iterator[bytes]:
        return _bytes_of(self._store.path(sha256), offset)

    def read_part(self, part: Part, offset: int) -> Iterator[bytes]:
        return _bytes_of(self._folder / part.path, offset)

    def close(self) -> None:
        """Nothing of it is open."""


def _bytes_of(path: Path, offset: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise CorruptDataError(f"{path} cannot be read: {error.strerror}", hint="see to that disk") from error

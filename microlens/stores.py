"""Opens the store that a setting names."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from microlens.bucket import PATIENCE_S, Bucket
from microlens.errors import RecipeError, StoreUnreachableError
from microlens.local_store import LocalStore
from microlens.s3_store import S3Store

if TYPE_CHECKING:
    from microlens.store import WritableStore


_CHECKED_IN_S = 10.0


def open_store(
    folder: Path, url: str | None, *, allow_http: bool = False, patience_s: float = PATIENCE_S
) -> WritableStore:
    """The store at `url` (s3://BUCKET/PREFIX, file:///FOLDER), or in `folder` itself; nothing is asked of it yet.

    With a bucket, `folder` holds what is on its way and what was fetched. RecipeError for any other address.
    """
    if url is None:
        return LocalStore(folder)
    parts = urlsplit(url)
    if _is_bucket(parts):
        return S3Store(
            parts.netloc, parts.path.strip("/"), LocalStore(folder), allow_http=allow_http, patience_s=patience_s
        )
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return LocalStore(Path(unquote(parts.path)))
    raise RecipeError(
        f"MICROLENS_STORE_URL = {_shown(parts)!r} names no store",
        hint="give s3://BUCKET/PREFIX or file:///FOLDER, or unset it",
    )


def open_bucket(url: str, *, allow_http: bool = False, patience_s: float = PATIENCE_S) -> Bucket:
    """The bucket that parts are kept in; nothing is asked of it yet. RecipeError for any other address."""
    parts = urlsplit(url)
    if not _is_bucket(parts):
        raise RecipeError(
            f"MICROLENS_PARTS_URL = {_shown(parts)!r} names no bucket",
            hint="give s3://BUCKET/PREFIX, with its credentials in AWS_* variables, or unset it",
        )
    return Bucket(parts.netloc, parts.path.strip("/"), allow_http=allow_http, patience_s=patience_s)


def check_bucket(url: str, *, allow_http: bool = False) -> str:
    """As `check_store`, of the bucket that parts are kept in."""
    open_bucket(url, allow_http=allow_http, patience_s=_CHECKED_IN_S).check()
    return url


def _is_bucket(parts: SplitResult) -> bool:
    return parts.scheme == "s3" and parts.netloc == parts.hostname and not (parts.query or parts.fragment)


def _shown(parts: SplitResult) -> str:
    """An address without what may be secret in it."""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, query=parts.query and "...", fragment=parts.fragment and "..."))


def check_store(url: str, *, allow_http: bool = False) -> str:
    """Where a store is that can be written and read, tried out; StoreUnreachableError or RecipeError if it cannot."""
    with tempfile.TemporaryDirectory(prefix="microlens-doctor-") as folder:
        try:
            open_store(Path(folder), url, allow_http=allow_http, patience_s=_CHECKED_IN_S).check()
        except OSError as error:
            raise StoreUnreachableError(
                f"{url} cannot be written to: {error.strerror}",
                hint="make or mount the folder and let this user write there, or correct MICROLENS_STORE_URL",
            ) from error
    return url

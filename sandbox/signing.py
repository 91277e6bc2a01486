"""Media links that end: signed with an expiry, as sites that pay for their traffic do. Off unless it is asked for."""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Wrong = Literal["expired", "forged"]


class Signer:
    """Signs paths for so many seconds at least (full seconds of the clock), and tells a good link from a bad one."""

    def __init__(self, lifetime_s: float, *, seed: int) -> None:
        self._lifetime_s = lifetime_s
        self._key = hashlib.sha256(f"links of the sandbox/{seed}".encode()).digest()

    def sign(self, path: str) -> str:
        """The path as a link that works from now on for a while."""
        expires = str(math.ceil(time.time() + self._lifetime_s))
        return f"{path}?expires={expires}&signature={self._signature(path, expires)}"

    def wrong(self, path: str, query: Mapping[str, str]) -> Wrong | None:
        """What is wrong with a link that somebody follows; None if nothing is."""
        expires = query.get("expires", "")
        given = query.get("signature", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(self._signature(path, expires).encode(), given):
            return "forged"
        return "expired" if time.time() >= int(expires) else None

    def _signature(self, path: str, expires: str) -> str:
        return hmac.digest(self._key, f"{path}\n{expires}".encode(), "sha256").hex()

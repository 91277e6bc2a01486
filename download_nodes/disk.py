"""Free space where a node keeps what it fetches: a node that has too little claims nothing more, and says so."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

_LOOK_EVERY_S = 1.0


class Disk:
    """The file system that holds `folder`; `least_bytes` of it are left alone."""

    def __init__(self, folder: Path, *, least_bytes: int) -> None:
        self._folder = folder
        self._least_bytes = least_bytes
        self._wanted_bytes = least_bytes
        self._looked_at = -_LOOK_EVERY_S
        self._was_low = False
        self.free_bytes = 0

    def is_low(self) -> bool:
        """Whether there is too little; looked at once a second at most, and told when it changes."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self.free_bytes = shutil.disk_usage(self._folder).free
            self._tell(is_low=self.free_bytes < self._wanted_bytes)
        return self._was_low

    def was_full(self) -> None:
        """A write has failed for want of space: more must become free than there is now."""
        self.free_bytes = shutil.disk_usage(self._folder).free
        self._wanted_bytes = max(self._least_bytes, self.free_bytes + 1)
        self._tell(is_low=True)

    def _tell(self, *, is_low: bool) -> None:
        if is_low == self._was_low:
            return
        self._was_low = is_low
        facts = {"folder": str(self._folder), "free_bytes": self.free_bytes, "wanted_bytes": self._wanted_bytes}
        if is_low:
            log.warning(
                "disk_low", **facts, hint="free some space: nothing more is claimed until then, nothing is lost"
            )
        else:
            self._wanted_bytes = self._least_bytes
            log.warning("disk_free_again", **facts)

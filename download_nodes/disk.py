"""Free space where a node keeps what it fetches: a node that has too little claims nothing more, and says so."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from microlens.logs import log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LOOK_EVERY_S = 1.0
_LONGEST_REST_S = 60.0


class Disk:
    """The file systems that hold `folders`; `least_bytes` of each are left alone."""

    def __init__(self, folders: Sequence[Path], *, least_bytes: int) -> None:
        self._folders = folders
        self._least_bytes = least_bytes
        self._looked_at = -_LOOK_EVERY_S
        self._free = [0 for _ in folders]
        self._free_when_full: list[int] = []
        self._rest_s = self._rest_until = 0.0
        self._was_low = False

    @property
    def free_bytes(self) -> int:
        """Of the file system that has least, when it was last looked at."""
        return min(self._free)

    def is_low(self) -> bool:
        """Whether there is too little; looked at once a second at most, and told when it changes."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._measure()
            has_more = not self._free_when_full or any(map(int.__gt__, self._free, self._free_when_full))
            self._tell(is_low=now < self._rest_until or not has_more or self.free_bytes < self._least_bytes)
        return self._was_low

    def was_full(self, *, is_here: bool = True) -> None:
        """A write has failed for want of space: more must become free than there is now.

        Unless that was elsewhere (`is_here`): of a server's disk nothing is seen but what comes of the next write.

        Of what becomes free some was this node's own, given up with that write. Lest it fill the disk with the same
        again and again, it rests in any case, twice as long each time until something could be stored.
        """
        now = time.monotonic()
        self._measure()
        if is_here:
            self._free_when_full = list(self._free)
        if now >= self._rest_until:
            self._rest_s = min(max(2 * self._rest_s, _LOOK_EVERY_S), _LONGEST_REST_S)
            self._rest_until = now + self._rest_s
        self._tell(is_low=True)

    def had_room(self) -> None:
        """What was fetched could be stored."""
        self._rest_s = 0.0

    def _measure(self) -> None:
        self._free = [shutil.disk_usage(folder).free for folder in self._folders]

    def _tell(self, *, is_low: bool) -> None:
        if is_low == self._was_low:
            return
        self._was_low = is_low
        facts = {"folder": str(self._folders[0]), "free_bytes": self.free_bytes, "least_bytes": self._least_bytes}
        if is_low:
            log.warning(
                "disk_low", **facts, hint="free some space: nothing more is claimed until then, nothing is lost"
            )
        else:
            self._free_when_full = []
            log.warning("disk_free_again", **facts)

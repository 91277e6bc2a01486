"""How slow a transfer may be."""

from __future__ import annotations

from microlens.errors import StoreUnreachableError

PATIENCE_S = 30.0
"""So long something is waited for, all waits together, until its rate is looked at."""
LEAST_BYTES_PER_S = 1_000


class Pace:
    """Who gives a byte now and then never runs into a time-out: a transfer needs a least rate as well.

    Only the time that is waited for bytes counts, not what their taker does with them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waited_s, self._size_bytes = 0.0, 0

    def add(self, waited_s: float, size_bytes: int) -> None:
        """Count what came after a wait; StoreUnreachableError if that is too little."""
        self._waited_s += waited_s
        self._size_bytes += size_bytes
        if self._waited_s < PATIENCE_S:
            return
        if self._size_bytes < LEAST_BYTES_PER_S * self._waited_s:
            raise StoreUnreachableError(
                f"{self._name} gave {self._size_bytes} bytes in {self._waited_s:.0f} s",
                hint="see to its network and its disks, then run the same command: what has come is kept",
            )
        self._waited_s, self._size_bytes = 0.0, 0

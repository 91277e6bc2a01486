"""The order in which users are drawn: by their keys, which are keyed hashes already, from a start that the seed gives.

Pairs lie in the order of keys too, so the users who are drawn are an arc of that circle, and a draw of a few reads only
the files that hold it. Another seed's order is that of a hash over all users (steps/candidates.sql).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from microlens.privacy import USER_KEY_BYTES

_CIRCLE = 1 << 8 * USER_KEY_BYTES
_BEYOND_ALL = "g"
"""No hexadecimal digit comes after it."""


def start_of(seed: int) -> str:
    """The key, in hexadecimal, from which a run's users are drawn."""
    return hashlib.sha256(f"users from {seed}".encode()).hexdigest()[: 2 * USER_KEY_BYTES]


@dataclass(frozen=True, slots=True)
class Arc:
    """A part of the circle of keys, from the start of a seed on."""

    start: int
    length: int

    @classmethod
    def of(cls, seed: int, share: float) -> Arc:
        """So large a share of all keys."""
        return cls(int(start_of(seed), 16), min(_CIRCLE, int(share * Fraction(_CIRCLE))))

    @property
    def bound(self) -> str:
        """The place (steps/users.sql: 0 or 1, then the key) before which all in it come; of a whole circle, all."""
        if self.length >= _CIRCLE:
            return _BEYOND_ALL
        turn, key = divmod(self.start + self.length, _CIRCLE)
        return f"{turn}{key:0{2 * USER_KEY_BYTES}x}"

    def touches(self, part: int, parts: int) -> bool:
        """Whether it has keys of a part of the circle, when that is cut into equal parts in the order of keys."""
        low, high = part * _CIRCLE // parts, (part + 1) * _CIRCLE // parts
        end = self.start + self.length
        return (low < end and high > self.start) or low < end - _CIRCLE


def hash_bound(share: float) -> str:
    """The hash before which so large a share of all hashes comes."""
    return f"{int(share * 2**64):016x}" if share < 1 else _BEYOND_ALL

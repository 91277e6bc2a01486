"""In which unit a foreign file tells time: seen by its size, for nothing else tells it.

A moment between 1990 and 2100 has 9 or 10 digits in seconds, 12 or 13 in milliseconds, and so on: no number is a moment
of those years in two units. All times of a file must be such moments, in one unit; else the user has to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from integration.imports.errors import ForeignFileError
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from integration.imports.lines import Lines

_FIRST_S, _LAST_S = 631_152_000, 4_102_444_800
"""1990 and 2100, in seconds since 1970, UTC."""
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""How many of each make a second."""
ORDER = "order"
"""What orders and tells no moment: it is not published."""
CHOICES = ("auto", *UNITS, ORDER)


@dataclass
class TimeRange:
    """The lowest and the highest time of a file, and the lines that tell them."""

    path: Path
    lowest: tuple[float, int] | None = None
    highest: tuple[float, int] | None = None

    def add(self, lines: Lines, times: pa.Array) -> None:
        """Take in the times (N,) of these lines."""
        low, high = pc.min_max(times).as_py().values()
        if low is None:
            return
        if self.lowest is None or low < self.lowest[0]:
            self.lowest = low, int(lines.numbers[pc.index(times, low).as_py()])
        if self.highest is None or high > self.highest[0]:
            self.highest = high, int(lines.numbers[pc.index(times, high).as_py()])

    def unit(self, asked: str) -> str:
        """A key of UNITS, or ORDER: as asked, or for `auto` the one in which every time lies between 1990 and 2100.

        ORDER as well where there are no times. ForeignFileError if there is no such unit, RecipeError if one is asked
        for and there are no times.
        """
        if self.lowest is None or self.highest is None:
            if asked != "auto":
                raise RecipeError(f"--time-unit {asked}: {self.path} tells no times", hint="leave --time-unit out")
            return ORDER
        if asked != "auto":
            return asked
        (low, low_line), (high, high_line) = self.lowest, self.highest
        first = _unit_of(low)
        if first is not None and first == _unit_of(high):
            return first
        raise ForeignFileError(
            self.path,
            f"times run from {low:.15g} (line {low_line:,}) to {high:.15g} (line {high_line:,}): these are not moments "
            "between 1990 and 2100 in one unit",
            hint=f"mend the wrong ones, or say the unit: --time-unit {', '.join(UNITS)}; or `--time-unit {ORDER}`, "
            "which orders by them and publishes none",
        )


def check_unit(asked: str) -> None:
    if asked not in CHOICES:
        raise RecipeError(f"there is no time unit {asked!r}", hint=nearest(asked, CHOICES))


def ms_per(unit: str) -> float:
    """Milliseconds of one unit; 0 for ORDER."""
    return 0.0 if unit == ORDER else 1_000 / UNITS[unit]


def _unit_of(time: float) -> str | None:
    return next((unit for unit, many in UNITS.items() if _FIRST_S * many <= time < _LAST_S * many), None)

"""How the site writes a video's counts: most as plain numbers, some as large sites do, cut short or in other digits.

A count that is cut short is the video's count: what a page says is the truth, and nobody can know more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from sandbox import flaws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SPELLED_SHARE = 0.4
_GROUP = "\N{ARABIC THOUSANDS SEPARATOR}"
_ARABIC = str.maketrans("0123456789,", "".join(chr(0x660 + digit) for digit in range(10)) + _GROUP)
_TENTHS = 10


class Spelling(StrEnum):
    PLAIN = "plain"
    """12345, a JSON number"""
    GROUPED = "grouped"
    """12,345"""
    SHORT = "short"
    """12.3K"""
    MYRIAD = "myriad"
    """1.2万"""
    ARABIC = "arabic"
    """١٢٬٣٤٥"""


SPELLINGS = tuple(Spelling)
_UNITS = {Spelling.SHORT: ((1_000_000, "M"), (1_000, "K")), Spelling.MYRIAD: ((100_000_000, "亿"), (10_000, "万"))}


def spell(count: int, spelling: Spelling) -> int | str:
    """Write a count; one that a short spelling cannot say exactly is written in full."""
    if spelling is Spelling.PLAIN:
        return count
    if spelling is Spelling.ARABIC:
        return f"{count:,}".translate(_ARABIC)
    size, unit = _unit(count, spelling)
    if not unit or said(count, spelling) != count:
        return f"{count:,}"
    whole, tenth = divmod(count * _TENTHS // size, _TENTHS)
    return f"{whole}.{tenth}{unit}" if tenth else f"{whole}{unit}"


def said(count: int, spelling: Spelling) -> int:
    """The count that is left of another once it is cut to tenths of the spelling's unit."""
    size, unit = _unit(count, spelling)
    return count * _TENTHS // size * size // _TENTHS if unit else count


def _unit(count: int, spelling: Spelling) -> tuple[int, str]:
    return next((each for each in _UNITS.get(spelling, ()) if count >= each[0]), (1, ""))


def draw_spellings(rng: np.random.Generator, count: int) -> list[Spelling]:
    """Deal the spellings over the videos, each other one as often as the next."""
    chances = [1 - SPELLED_SHARE, *[SPELLED_SHARE / (len(SPELLINGS) - 1)] * (len(SPELLINGS) - 1)]
    return [SPELLINGS[number] for number in rng.choice(len(SPELLINGS), count, p=chances).tolist()]


def cut_counts(counts: NDArray[np.int64], spellings: Sequence[Spelling], dealt: flaws.Flaws) -> NDArray[np.int64]:
    """Make counts those that the pages say; copies, originals and what would cross a threshold are never cut."""
    shared = set(dealt.scenes[dealt.scenes != np.arange(len(counts))].tolist())
    cut = counts.copy()
    for video, (count, spelling) in enumerate(zip(counts.tolist(), spellings, strict=True)):
        shorter = said(count, spelling)
        is_alone = dealt.scenes[video] == video and video not in shared
        if is_alone and (shorter > flaws.POPULAR_LIKES) == (count > flaws.POPULAR_LIKES):
            cut[video] = shorter
    return cut

"""Counts, lengths and moments as sites write them; what cannot be read is None, and nothing raises.

How `parse_count` reads a number. Digits of any script and all Unicode spaces are plain ones first. A text holds exactly
one number, or None is the answer; a minus sign or a point before it, or a percent sign behind, makes it None as well.

    spaces, apostrophes       group digits                        1 234 -> 1234
    U+066C; U+066B            group; is the decimal point         Arabic
    both . and ,              the last kind is the decimal one    1.234,5K -> 1234500
    one kind, several times   it groups                           1.234.567 -> 1234567
    one comma                 groups before exactly three digits  1,234 -> 1234, 1,2K -> 1200
    one point, no unit        groups before exactly three digits  1.234 -> 1234
    one point, a unit         is the decimal point                1.234K -> 1234

What groups must stand between one to three digits (no leading zero) and threes, or between twos and a last three as in
India; a point or comma that cannot group is the decimal one. Units multiply (`counting_units`), also as in 3亿5000万.
A count is whole: with a unit the rest is rounded, without one 1.2 is None. None above 2**63 - 1, what a table can hold.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import pairwise

from microlens.platforms.counting_units import MYRIAD_UNITS, WORD_UNITS
from microlens.platforms.moments import parse_moment
from microlens.platforms.plain_text import plain

__all__ = ["MAX_COUNT", "parse_count", "parse_duration", "parse_moment"]

MAX_COUNT = 2**63 - 1

_MAX_CHARACTERS = 500
"""A longer text is prose; it also keeps every pattern below cheap."""
_MAX_DIGITS = 25

_ARABIC_POINT = "\N{ARABIC DECIMAL SEPARATOR}"
_APOSTROPHES = str.maketrans(dict.fromkeys("\N{RIGHT SINGLE QUOTATION MARK}\N{ARABIC THOUSANDS SEPARATOR}", "'"))
_WORDS = "|".join(sorted(map(re.escape, WORD_UNITS), key=len, reverse=True))
_COUNT = re.compile(
    rf"(?P<number>\d+(?:[.,'{_ARABIC_POINT}]\d+| \d{{3}}(?!\d))*)"
    rf"(?: ?(?P<unit>[{''.join(MYRIAD_UNITS)}]|(?:{_WORDS})(?![^\W\d_])\.?))?",
    re.IGNORECASE,
)
_BEFORE = ("-", "\N{MINUS SIGN}", "\N{EN DASH}", ".")
_GROUPS = re.compile(r"(?!0)\d{1,3}(?:,\d{3})+|(?!0)\d{1,2}(?:,\d{2})+,\d{3}")

_CLOCK = re.compile(r"(?:(?P<hours>\d{1,4}):(?=\d\d:))?(?P<minutes>\d{1,4}):(?P<seconds>[0-5]\d(?:\.\d{1,9})?)")
_ISO = re.compile(
    r"P(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:[.,]\d{1,9})?)S)?)?",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_UNIT_S = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_MINUTES_AN_HOUR = 60


def parse_count(text: str | int | None) -> int | None:
    """Read a count, words around it or not, by the rules above."""
    if isinstance(text, int):
        return text if not isinstance(text, bool) and 0 <= text <= MAX_COUNT else None
    if text is None or len(text) > _MAX_CHARACTERS:
        return None
    line = plain(text).translate(_APOSTROPHES)
    parts = list(_COUNT.finditer(line))
    if not parts or not _is_one_number(line, parts) or not _is_a_count(line, parts):
        return None
    amounts = [_amount(part["number"], part["unit"]) for part in parts]
    known = [amount for amount in amounts if amount is not None]
    return _whole(sum(known, Decimal(0)), parts) if len(known) == len(amounts) else None


def parse_duration(text: str | float | None) -> float | None:
    """Read seconds: ISO 8601 (no months or years), `mm:ss`, `h:mm:ss`, or a plain number."""
    if text is None or isinstance(text, bool):
        return None
    line = plain(str(text)[:_MAX_CHARACTERS])
    if _SECONDS.fullmatch(line):
        return float(line)
    match = _CLOCK.fullmatch(line) or _ISO.fullmatch(line)
    if match is None or not any(match.groups()) or _is_broken_clock(match):
        return None
    parts = {unit: part.replace(",", ".") for unit, part in match.groupdict().items() if part}
    return math.fsum(float(part) * _UNIT_S[unit] for unit, part in parts.items())


def _is_one_number(line: str, parts: list[re.Match[str]]) -> bool:
    """Whether there is one number, or one that is said in falling steps: 3亿5000万."""
    steps = [MYRIAD_UNITS.get(part["unit"] or "", 0) for part in parts]
    falling = all(left > right > 0 for left, right in pairwise(steps))
    gaps = [line[left.end() : right.start()] for left, right in pairwise(parts)]
    return falling and not "".join(gaps).strip()


def _is_a_count(line: str, parts: list[re.Match[str]]) -> bool:
    before, behind = line[: parts[0].start()], line[parts[-1].end() :]
    return not before.endswith(_BEFORE) and not behind.lstrip().startswith("%")


def _amount(number: str, unit: str | None) -> Decimal | None:
    digits = _decimal_text(number, has_unit=unit is not None)
    if digits is None or len(digits) > _MAX_DIGITS:
        return None
    return Decimal(digits) * (_factor(unit) if unit else 1)


def _factor(unit: str) -> int:
    return MYRIAD_UNITS.get(unit) or WORD_UNITS[unit.rstrip(".").casefold()]


def _decimal_text(number: str, *, has_unit: bool) -> str | None:
    """Spell a number with a point as the decimal one and without groups; None if its marks make no sense."""
    marks = re.sub(r"\d", "", number)
    if not marks:
        return number
    point = _decimal_mark(number, marks, has_unit=has_unit)
    whole, _, fraction = number.partition(point) if point else (number, "", "")
    is_grouped = whole.isdigit() or (
        len(set(whole) - set("0123456789")) == 1 and _GROUPS.fullmatch(re.sub(r"\D", ",", whole)) is not None
    )
    if not is_grouped or not (fraction.isdigit() or not point):
        return None
    return re.sub(r"\D", "", whole) + (f".{fraction}" if point else "")


def _decimal_mark(number: str, marks: str, *, has_unit: bool) -> str:
    """The mark that is the decimal point, or "" if all of them group."""
    last = marks[-1]
    if _ARABIC_POINT in marks:
        return _ARABIC_POINT
    if marks.count(last) > 1 or last not in ".,":
        return ""
    if len(marks) > 1 or (last == "." and has_unit):
        return last
    return "" if _GROUPS.fullmatch(number.replace(last, ",")) else last


def _whole(amount: Decimal, parts: list[re.Match[str]]) -> int | None:
    rounded = int(amount.to_integral_value())
    if (rounded != amount and parts[-1]["unit"] is None) or rounded > MAX_COUNT:
        return None
    return rounded


def _is_broken_clock(match: re.Match[str]) -> bool:
    """Whether minutes run past the hour that stands before them."""
    is_clock = ":" in match[0] and match["hours"] is not None
    return is_clock and int(match["minutes"]) >= _MINUTES_AN_HOUR

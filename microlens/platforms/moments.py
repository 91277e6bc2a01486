"""Moments as sites write them, as milliseconds since 1970; what cannot be read is None, and nothing raises.

numbers      seconds from 1e8, milliseconds from 1e11 (both: March 1973), below 1e14; else None
ISO 8601     with a zone or without one, which is UTC; also 2026/3/5 and 2026年3月5日
RFC 2822     Thu, 05 Mar 2026 12:00:00 +0000
relative     to `now_ms`: just now, 3 hours ago, yesterday, 5分钟前, 昨天 14:05; as exact as they are written:
             a month is 30 days, a year 365, and a time of day is UTC
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from microlens.platforms.plain_text import plain

_MAX_CHARACTERS = 200
_FIRST_S, _FIRST_MS, _END_MS = 1e8, 1e11, 1e14

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNIT_MS = {
    "second": _SECOND, "sec": _SECOND, "s": _SECOND, "秒": _SECOND, "秒钟": _SECOND, "秒鐘": _SECOND,
    "minute": _MINUTE, "min": _MINUTE, "m": _MINUTE, "分": _MINUTE, "分钟": _MINUTE, "分鐘": _MINUTE,
    "hour": _HOUR, "hr": _HOUR, "h": _HOUR, "小时": _HOUR, "小時": _HOUR,
    "day": _DAY, "d": _DAY, "天": _DAY, "日": _DAY,
    "week": 7 * _DAY, "w": 7 * _DAY, "周": 7 * _DAY, "週": 7 * _DAY, "星期": 7 * _DAY,
    "month": 30 * _DAY, "mo": 30 * _DAY, "月": 30 * _DAY,
    "year": 365 * _DAY, "yr": 365 * _DAY, "y": 365 * _DAY, "年": 365 * _DAY,
}  # fmt: skip
_DAYS_BACK = {"today": 0, "今天": 0, "yesterday": 1, "昨天": 1, "前天": 2}

_UNITS = "|".join(sorted(_UNIT_MS, key=len, reverse=True))
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,9})?")
_STEP = rf"(?P<count>(?<![\d.,])\d{{1,4}}|\b(?:an?|one)) ?[个個]? ?(?P<unit>{_UNITS})"
_AGO = re.compile(rf"{_STEP}(?:s? ago\b| ?前)", re.IGNORECASE)
_ANY_STEP = re.compile(rf"{_STEP}(?:s?\b| )", re.IGNORECASE)
_DAY_WORDS = "|".join(_DAYS_BACK)
_DAY_WORD = re.compile(rf"(?P<day>{_DAY_WORDS})(?:,? ?(?:at )?(?P<clock>[012]?\d:[0-5]\d))?", re.IGNORECASE)
_NOW = re.compile(r"\bjust now\b|刚刚|剛剛|刚才", re.IGNORECASE)
_DATE = re.compile(r"(?P<year>[12]\d{3})[年/](?P<month>\d{1,2})[月/](?P<day>\d{1,2})日?(?P<clock>.*)")
_RFC_2822 = re.compile(
    r"(?:[A-Za-z]{3}, ?)?\d{1,2} [A-Za-z]{3} \d{4} \d\d:\d\d(?::\d\d)?(?: (?:[+-]\d{4}|[A-Z]{1,4}))?"
)


def parse_moment(text: str | float | None, *, now_ms: int) -> int | None:
    """Read a moment by the rules above; nothing before 1970."""
    if text is None or isinstance(text, bool):
        return None
    line = plain(str(text)[:_MAX_CHARACTERS])
    read = _epoch(line)
    if read is None:
        read = _absolute(line)
    if read is None:
        read = _relative(line, now_ms)
    return read if read is not None and read >= 0 else None


def _epoch(line: str) -> int | None:
    if not _NUMBER.fullmatch(line):
        return None
    number = float(line)
    if _FIRST_MS <= number < _END_MS:
        return int(number)
    return round(number * 1000) if _FIRST_S <= number < _FIRST_MS else None


def _absolute(line: str) -> int | None:
    match = _DATE.fullmatch(line)
    if match:
        line = f"{match['year']}-{match['month']:0>2}-{match['day']:0>2} {match['clock'].strip()}".strip()
    try:
        moment = parsedate_to_datetime(line) if _RFC_2822.fullmatch(line) else datetime.fromisoformat(line)
    except (ValueError, OverflowError):
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _relative(line: str, now_ms: int) -> int | None:
    ago = _AGO.search(line)
    if ago:
        if _ANY_STEP.search(line, 0, ago.start()):  # 1 day, 2 hours ago
            return None
        count = int(ago["count"]) if ago["count"].isdigit() else 1
        return now_ms - count * _UNIT_MS[ago["unit"].casefold()]
    day = _DAY_WORD.search(line)
    if day:
        return _on_day(now_ms - _DAYS_BACK[day["day"].casefold()] * _DAY, day["clock"])
    return now_ms if _NOW.search(line) else None


def _on_day(moment_ms: int, clock: str | None) -> int:
    if clock is None:
        return moment_ms
    hours, minutes = map(int, clock.split(":"))
    return moment_ms - moment_ms % _DAY + hours * _HOUR + minutes * _MINUTE

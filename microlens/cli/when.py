"""Moments as people type them (a day, a moment, or an age), and as they are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from microlens.errors import RecipeError

_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGE = re.compile(r"(?P<count>\d{1,4})(?P<unit>[mhdw])", re.ASCII)
_FORMS = "give a day (2026-01-31), a moment (2026-01-31T18:00), an age (30m, 12h, 7d, 4w) or `now`; times are UTC"


def parse_when(text: str, *, now_ms: int) -> int:
    """Milliseconds since 1970; RecipeError for what is no moment, or lies in the future. Without a zone it is UTC."""
    moment_ms = _moment_ms(text.strip(), now_ms)
    if moment_ms is None:
        raise RecipeError(f"--since {text!r} is no moment", hint=_FORMS)
    if moment_ms > now_ms:
        raise RecipeError(f"--since {text!r} lies in the future: everything was read before it", hint=_FORMS)
    return moment_ms


def moment_text(at_ms: int) -> str:
    """As `parse_when` reads it, to the millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_text(at_ms: int) -> str:
    """A moment as this machine's clock shows it; with its date if that is not today."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()
    is_today = moment.date() == datetime.now(UTC).astimezone().date()
    return moment.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M")


def _moment_ms(text: str, now_ms: int) -> int | None:
    if text == "now":
        return now_ms
    age = _AGE.fullmatch(text)
    if age is not None:
        return now_ms - int(age["count"]) * _UNITS_MS[age["unit"]]
    try:
        moment = datetime.fromisoformat(text)
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None

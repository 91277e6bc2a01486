"""Addresses with gaps: `{instance}/?page={page}`. Filled in one direction, and read back in the other."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from pydantic import AfterValidator

if TYPE_CHECKING:
    from collections.abc import Callable

_GAP = re.compile(r"\{(\w*)\}")
_ORIGINS = frozenset({"instance", "origin"})
"""Gaps whose value is `scheme://host`; all others are percent-encoded."""


def template_of(*gaps: str) -> AfterValidator:
    """Mark a text as a template that may have these gaps."""
    return AfterValidator(_checker(gaps))


def gaps_of(template: str) -> set[str]:
    return set(_GAP.findall(template))


def fill(template: str, **values: object) -> str:
    """Put values in; what a template has no gap for is left out."""
    return _GAP.sub(lambda gap: _spelled(gap[1], values), template)


def read_back(template: str, url: str) -> dict[str, str] | None:
    """The values that `fill` made this address of, or None if it did not."""
    pattern, seen = "", set()
    for number, part in enumerate(_GAP.split(template)):
        if number % 2 == 0:
            pattern += re.escape(part)
        elif part in seen:
            pattern += f"(?P={part})"
        else:
            pattern += f"(?P<{part}>{'https?://[^/?#]+' if part in _ORIGINS else '[^/?#&]*'})"
            seen.add(part)
    match = re.fullmatch(pattern, url)
    return {name: unquote(value) for name, value in match.groupdict().items()} if match else None


def _spelled(name: str, values: dict[str, object]) -> str:
    value = str(values[name])
    return value.rstrip("/") if name in _ORIGINS else quote(value, safe="")


def _checker(gaps: tuple[str, ...]) -> Callable[[str], str]:
    def check(template: str) -> str:
        for name in _GAP.findall(template):
            if name not in gaps:
                near = difflib.get_close_matches(name, gaps, n=1)
                others = ", ".join(f"{{{gap}}}" for gap in gaps)
                raise ValueError(
                    f"{{{name}}} cannot stand here: "
                    + (f"did you mean {{{near[0]}}}?" if near else f"there are {others}")
                )
        if set("{}") & set(_GAP.sub("", template)):
            raise ValueError("a brace that belongs to no gap: write %7B and %7D in an address")
        if not template.startswith(("http://", "https://", *(f"{{{gap}}}" for gap in gaps if gap in _ORIGINS))):
            begins = " or ".join(f"{{{gap}}}" for gap in gaps if gap in _ORIGINS)
            raise ValueError(f"an address begins with {begins}, or with http(s)://")
        return template

    return check

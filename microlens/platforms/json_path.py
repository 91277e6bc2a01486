"""A small part of JSONPath (RFC 9535): enough to say where in an answer a value stands.

    $                     the whole value
    $.a.b                 keys; a name is all up to the next `.` or `[`
    $["a.b"]              a key with other signs in it
    $.a[0]   $.a[-1]      one row of a list, counted from either end
    $.a[*].b              every row of a list, or every value of an object

A key or row that is not there, and null, select nothing. There are no filters, slices, unions or `..`.
"""

from __future__ import annotations

import re
from typing import Any

Step = str | int | None
"""A key, a row's place, or None for all of them."""

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]"'\s]+) | \[(?:(?P<row>-?\d{1,9})|(?P<all>\*)|"(?P<double>[^"]*)"|'(?P<single>[^']*)')\]""",
    re.VERBOSE,
)


def parse_path(text: str) -> tuple[Step, ...]:
    """Read a path; ValueError says where it stops making sense."""
    if not text.startswith("$"):
        raise ValueError(f"the JSON path {text!r} does not begin with $")
    steps, place = [], 1
    while place < len(text):
        match = _STEP.match(text, place)
        if match is None:
            rest = text[place:]
            raise ValueError(f"the JSON path {text!r} cannot be read from {rest!r} on: after $ come .name, [0] and [*]")
        steps.append(_step(match))
        place = match.end()
    return tuple(steps)


def find(path: tuple[Step, ...], value: Any) -> list[Any]:
    """Every value at a path, in the order of the answer; never raises."""
    return [each for each in _walk(path, value) if each is not None]


def exists(path: tuple[Step, ...], value: Any) -> bool:
    """Whether the list that a path ends in is there, be it empty or null."""
    while path and path[-1] is None:
        path = path[:-1]
    return bool(_walk(path, value))


def _walk(path: tuple[Step, ...], value: Any) -> list[Any]:
    found = [value]
    for step in path:
        found = [inner for outer in found for inner in _inside(outer, step)]
    return found


def _step(match: re.Match[str]) -> Step:
    if match["all"]:
        return None
    if match["row"]:
        return int(match["row"])
    return next(name for name in (match["name"], match["double"], match["single"]) if name is not None)


def _inside(value: Any, step: Step) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step is None else [value[step]] if step in value else []
    if isinstance(value, list) and not isinstance(step, str):
        return value if step is None else value[step : step + 1 or None]
    return []

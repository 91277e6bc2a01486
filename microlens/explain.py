"""What pydantic found wrong with a YAML file, in lines that name the key, the value and the nearest valid key."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each mistake; `model` is what was validated."""
    return [_line(detail, model) for detail in error.errors()]


def _line(detail: Any, model: type[BaseModel]) -> str:
    location = detail["loc"]
    where = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        valid = _keys_at(location[:-1], model)
        near = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"valid keys here: {', '.join(valid)}"
        return f"unknown key {where!r}: {advice}"
    if detail["type"] == "missing":
        return f"the key {where!r} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error" and isinstance(detail["input"], dict):  # keys that do not go together
        return f"{where}: {message}" if where else message
    return f"{where} = {detail['input']!r}: {message}"


def _keys_at(location: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """Valid keys of the section at a location."""
    section = model
    for part in location:
        field = section.model_fields.get(str(part))
        section = next(_models_in(field.annotation), section) if field else section
    return list(section.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections that a field's type speaks of: itself, `X | None`, `tuple[X, ...]`, `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)

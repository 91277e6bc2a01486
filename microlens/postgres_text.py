"""Texts that PostgreSQL cannot hold, held all the same: it knows no character NUL, and a site may show one.

Each text has one spelling in the database, so that equal stays equal and different stays different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.string import StrDumper, TextLoader

if TYPE_CHECKING:
    from psycopg.abc import Buffer

TEXT_TYPES = ("text", "varchar")

_MARK = "\ue000"
"""A private character, which hardly any text has: `_MARK 0` stands for NUL, `_MARK 1` for itself."""


class EveryTextDumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        if "\0" in obj or _MARK in obj:
            obj = obj.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")
        return super().dump(obj)


class EveryTextLoader(TextLoader):
    def load(self, data: Buffer) -> Any:
        text: Any = super().load(data)
        return text.replace(f"{_MARK}0", "\0").replace(f"{_MARK}1", _MARK) if _MARK in text else text

"""What is wrong with a foreign file: name, line, the value, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.errors import CorruptDataError

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN = 80
"""Characters of a value: a line may be megabytes long."""


class ForeignFileError(CorruptDataError):
    """A foreign file is not what its format says; nothing was imported."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None, hint: str = "") -> None:
        where = f"{path}, line {line:,}" if line is not None else str(path)
        super().__init__(f"{where}: {problem}", hint=hint or "mend the file, then import again; nothing was imported")


def shown(value: str | bytes) -> str:
    """A value as a message quotes it: escaped, and cut."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}..."

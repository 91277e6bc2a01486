"""What is known of one configuration: a small file, which its worker writes after every epoch and the search reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from microlens.errors import CorruptDataError
from microlens.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIVERGED, NO_MEMORY, KILLED, FAILED = "diverged", "out_of_memory", "killed", "failed"


@dataclass(frozen=True)
class Record:
    curves: list[dict[str, float]] = field(default_factory=list)
    """Of every epoch its loss, its validation metrics and its seconds; of a model without epochs one entry."""
    is_over: bool = False
    """Whether training came to its own end with the last of the curves."""
    trouble: str = ""
    """Why there are no more epochs, if not for that."""
    message: str = ""
    peak_memory_bytes: int = 0
    """Of the process that trained it."""

    def with_trouble(self, trouble: str, message: str) -> Record:
        return replace(self, trouble=trouble, message=message)


class RecordFile:
    """The record of one configuration. A reader sees an old one or a new one; both say what they are of (`made_of`)."""

    def __init__(self, path: Path, made_of: Mapping[str, Any]) -> None:
        self.path = path
        self.made_of = dict(made_of)

    def read(self) -> Record:
        """What was written last; a record of no epochs if nothing was."""
        if not self.path.exists():
            return Record()
        try:
            found = orjson.loads(self.path.read_bytes())
            made_of, record = found["made_of"], Record(**found["record"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CorruptDataError(
                f"{self.path} is no record of a configuration: {error!r}",
                hint="delete it, and run the same command again: that configuration alone begins anew",
            ) from error
        if made_of != self.made_of:
            raise CorruptDataError(
                f"{self.path} is of another configuration", hint="move it away, and run the same command again"
            )
        return record

    def write(self, record: Record) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        told = {"made_of": self.made_of, "record": asdict(record)}
        with replacing(self.path) as unfinished:
            unfinished.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))

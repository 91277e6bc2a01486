r"""What a node and its decoding process tell each other.

A socket: to the process lines of JSON, [number, task, kind, path]; from it first `READY`, then a line [number, answer]
for each, in the same order, many at once where it can. A request of task `extract` or `draw` comes with a file that it
may write, as an open descriptor. A mark, in memory that both see: the number of the request that is being worked on (0:
none), and since when, by the machine's monotonic clock.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from microlens.records import AssetKind

Task = Literal["measure", "extract", "draw"]

READY = b"ready\n"
MARK = struct.Struct("=Qd")
MESSAGE_BYTES = 65_536
MAX_FILE_BYTES = 2 << 30
"""Of a sound that is extracted."""


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    """From 1."""
    task: Task
    kind: AssetKind
    path: str
    """As `written_path` spells it."""


def written_path(path: Path) -> str:
    """A path as JSON can have it: names are bytes, and not all of them are text."""
    return os.fsencode(os.path.abspath(path)).decode("latin-1")  # noqa: PTH100 - `absolute` costs five times as much


def read_path(written: str) -> Path:
    return Path(os.fsdecode(written.encode("latin-1")))

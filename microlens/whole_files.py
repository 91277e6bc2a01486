"""Files that a reader sees as they were or as they are to be, and never half-written."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes the place of `path` if the block ends well, and else is removed.

    It lies beside `path` and has this process's number in its name, so that two writers do not write into each other.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)  # what a full disk has left


def write_atomically(path: Path, text: str) -> None:
    """Write a small file of one writer, in whose folder a process that is killed leaves at most one other file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)

"""Foreign files made into a release of ours: one module a format, one registry.

A format finds the files of a dataset by their names, and reads them: checked, and under their own ids
(integration.imports.foreign). What follows is the same for all: integration.imports.build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.imports import microlens, recbole, s3rec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.imports.foreign import Files, Foreign, Options
    from integration.imports.lines import Tell


@dataclass(frozen=True, slots=True)
class Format:
    find: Callable[[Path], Files]
    read: Callable[[Files, Options, Path, Tell], Foreign]
    """Into the folder that is its third argument."""


FORMATS = {
    "microlens": Format(microlens.find, microlens.read),
    "recbole": Format(recbole.find, recbole.read),
    "s3rec": Format(s3rec.find, s3rec.read),
}

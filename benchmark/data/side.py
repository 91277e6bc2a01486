"""What else is known of a release's items: read when a model asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Side:
    """V items with padding; everything is numbered as the benchmark numbers items, from 1 without gaps."""

    release: Path

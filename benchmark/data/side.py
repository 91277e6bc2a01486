"""What else is known of a release's items: read when a model asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.data.features import load_features

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Side:
    """V items with padding; everything is numbered as the benchmark numbers items, from 1 without gaps."""

    release: Path

    def features(self, name: str) -> Tensor:
        """Frozen features (V, F), row 0 zeros; NotReadyError, with the command that makes them, if there are none."""
        return load_features(self.release, name)

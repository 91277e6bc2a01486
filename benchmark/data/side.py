"""What else is known of a release's items: read when a model asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.data.features import load_features
from microlens.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


class Side:
    """V items with padding; everything is numbered as the benchmark numbers items, from 1 without gaps."""

    def __init__(self, release: Path | None, *, features: Mapping[str, Tensor] | None = None) -> None:
        """Take a release's folder, or by name what would be read from one; what is given comes first."""
        self.release = release
        self._features = dict(features or {})

    def features(self, name: str) -> Tensor:
        """Frozen features (V, F), row 0 zeros; NotReadyError, with the command that makes them, if there are none."""
        if name not in self._features:
            if self.release is None:
                raise NotReadyError(f"there are no features {name!r}, and no release to read", hint="name a release")
            self._features[name] = load_features(self.release, name)
        return self._features[name]

"""microlens-build: from a micro-video site to a published recommendation dataset and a leaderboard on it.

import microlens
dataset = microlens.load("runs/demo/releases/demo")
dataset.pairs, dataset.items, dataset.covers[1]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microlens.loader import Dataset, load

__version__ = "0.1.0"
__all__ = ["Dataset", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that `import microlens` stays quick."""
    if name in {"Dataset", "load"}:
        from microlens import loader

        return getattr(loader, name)
    raise AttributeError(f"module 'microlens' has no attribute {name!r}")

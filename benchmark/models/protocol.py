"""What a leaderboard asks of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Recommender(Protocol):
    """B users, T steps (oldest first, left-padded with item 0), V items with padding."""

    def scores(self, history: Tensor) -> Tensor:
        """Score every item as the next one: item ids (B, T) to (B, V). Column 0 is never looked at."""
        ...

"""What a leaderboard asks of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Recommender(Protocol):
    """B users, T steps (oldest first, left-padded with item 0), V items with padding."""

    def scores(self, users: Tensor, history: Tensor) -> Tensor:
        """Score every item as the next one of users (B,) with item ids (B, T): (B, V), which the caller may write to.

        Column 0 is never looked at.
        """
        ...


class TrainableModel(nn.Module, ABC):
    """A recommender that learns."""

    @abstractmethod
    def scores(self, users: Tensor, history: Tensor) -> Tensor:
        """As `Recommender.scores`; in evaluation mode, and without gradients."""

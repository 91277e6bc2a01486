"""What a leaderboard asks of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

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

    @abstractmethod
    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Have `torch.compile` make what does the work of training, in place; arguments are its own.

        `nn.Module.compile` would make a call of the model itself, and tasks call parts of it. Tables that are looked up
        stay outside: rows are brought up to date before a look-up (benchmark/row_adamw.py), and how many depends on the
        batch.
        """

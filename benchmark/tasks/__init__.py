"""What one step of training asks of a model: a batch in, a loss out. The loop around it is benchmark/train.py."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Split
    from benchmark.settings import Settings


class Task(Protocol):
    """B rows of a batch.

    Random numbers are `order`'s or torch's own, both seeded anew every epoch: one that a task kept from epoch to epoch
    would be another after a resumption.
    """

    steps: int
    """Batches of an epoch."""

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """Draw everything that is trained on once, in a new order: rows (B, ...)."""
        ...

    def terms(self, batch: Tensor) -> int:
        """How many terms the loss of a batch is the mean of: what it weighs where ranks share a batch out."""
        ...

    def loss(self, batch: Tensor) -> Tensor:
        """A scalar to make smaller."""
        ...


class TaskKind(Protocol):
    """A class of tasks, which a model is trained by."""

    losses: tuple[str, ...]
    """Which of `benchmark.settings.LOSSES` it has."""
    reads: tuple[str, ...]
    """Settings that say how its losses are computed, beside those of all training."""

    def __call__(self, model: Any, split: Split, settings: Settings, /) -> Task:
        """Prepare to train a model on the training part of a split."""
        ...


def step_count(rows: Tensor, size: int) -> int:
    """How many batches `shuffled` makes."""
    return math.ceil(len(rows) / size)


def shuffled(rows: Tensor, size: int, order: torch.Generator) -> Iterator[Tensor]:
    """Rows (N, ...) in batches of (B, ...), in an order drawn on the CPU, so that every device sees the same."""
    places = torch.randperm(len(rows), generator=order).to(rows.device)
    for start in range(0, len(rows), size):
        yield rows[places[start : start + size]]

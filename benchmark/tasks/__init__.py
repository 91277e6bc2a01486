"""What one step of training asks of a model: a batch in, a loss out. The loop around it is benchmark/train.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


class Task(Protocol):
    """B rows of a batch.

    Random numbers are `order`'s or torch's own, both seeded anew every epoch: one that a task kept from epoch to epoch
    would be another after a resumption.
    """

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """Draw everything that is trained on once, in a new order: rows (B, ...)."""
        ...

    def loss(self, batch: Tensor) -> Tensor:
        """A scalar to make smaller."""
        ...


@runtime_checkable
class CountsTerms(Protocol):
    """A task whose loss is a mean over something else than rows, so that ranks' losses weigh as many terms."""

    def terms(self, batch: Tensor) -> int:
        """How many terms the loss of a batch is the mean of."""
        ...


def shuffled(rows: Tensor, size: int, order: torch.Generator) -> Iterator[Tensor]:
    """Rows (N, ...) in batches of (B, ...), in an order drawn on the CPU, so that every device sees the same."""
    places = torch.randperm(len(rows), generator=order).to(rows.device)
    for start in range(0, len(rows), size):
        yield rows[places[start : start + size]]

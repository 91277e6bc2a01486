"""A next-item model: an item side and a user side that know nothing of each other but the width.

B users, T steps (oldest first, left-padded with item 0), D width, V items with padding.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from benchmark.models.recommender import TrainableModel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.models.items import ItemTable


class SequenceModel(TrainableModel):
    """`encoder` takes vectors (B, T, D) and which steps are real (B, T); it returns states (B, T, D)."""

    def __init__(self, items: ItemTable, encoder: nn.Module) -> None:
        super().__init__()
        self.items = items
        self.encoder = encoder

    def forward(self, history: Tensor) -> Tensor:
        """Take item ids (B, T); return one user state per step (B, T, D), which knows nothing of later steps."""
        return self.encoder(self.items(history), history != 0)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the encoder: training looks items up by itself (benchmark/tasks/next_item.py)."""
        self.encoder.compile(*args, **kwargs)

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Score every item as the next one: (B,), (B, T) to (B, V)."""
        order, blocks = shortest_first(history)
        last = torch.cat([self(rows)[:, -1] for rows in blocks])
        return self.items.scores(last[order.argsort()])


def shortest_first(rows: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Sort left-padded rows (B, T) by length into blocks whose padding is cut off: their order (B,), and the blocks.

    Most people meet few items, so most of a batch is padding. Lengths of a block are within a factor of two, hence more
    than half of it is real. A GPU gets one block: there, many small kernels cost more than padding.
    """
    lengths, order = (rows != 0).sum(1).clamp(min=1).sort(stable=True)
    if rows.is_cuda:
        return order, [rows[order]]
    bounds = [1 << power for power in range(rows.shape[1].bit_length() + 1)]
    ends = torch.searchsorted(lengths, torch.tensor(bounds), right=True).tolist()
    return order, [
        rows[order[start:end], -int(lengths[end - 1]) :] for start, end in pairwise([0, *ends]) if end > start
    ]

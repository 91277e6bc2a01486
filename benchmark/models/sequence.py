"""A next-item model: an item side and a user side that know nothing of each other but the width.

B users, T steps (oldest first, left-padded with item 0), D width, V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.models.protocol import TrainableModel

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

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Score every item as the next one: (B,), (B, T) to (B, V)."""
        return self.items.scores(self(history)[:, -1])

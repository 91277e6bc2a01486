"""Predict each item of a sequence from those before it.

B users, T steps, N predictions, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch.nn.functional import pad

from benchmark.losses import predicted
from benchmark.models.sequence import shortest_first
from benchmark.tasks import shuffled, step_count
from benchmark.tasks.item_loss import LOSSES, READS, ItemLoss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Split
    from benchmark.models.sequence import SequenceModel
    from benchmark.settings import Settings


class NextItem:
    """Every user once an epoch, whole sequences in a batch."""

    losses: ClassVar[tuple[str, ...]] = LOSSES
    reads: ClassVar[tuple[str, ...]] = READS

    def __init__(self, model: SequenceModel, split: Split, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        # A user with one training item has nothing to predict.
        self.sequences = split.train[predicted(split.train).any(1)]
        self.steps = step_count(self.sequences, settings.batch_size)
        self.item_loss = ItemLoss(model.items, self.sequences, split.item_count, settings)

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """All users in a new order: items (B, T)."""
        return shuffled(self.sequences, self.settings.batch_size, order)

    def terms(self, batch: Tensor) -> int:
        return int(predicted(batch).sum())

    def loss(self, batch: Tensor) -> Tensor:
        """By the settings' `loss`, over all predictions of a batch (B, T)."""
        order, blocks = shortest_first(batch)
        batch = batch[order]
        # Looked up once for all blocks: each look-up has a gradient of the whole item table.
        vectors = torch.split(self.model.items(batch), [len(rows) for rows in blocks])
        states = [self._states(rows, found) for rows, found in zip(blocks, vectors, strict=True)]
        return self.item_loss(torch.cat(states), batch, pad(predicted(batch), (1, 0)))

    def _states(self, rows: Tensor, vectors: Tensor) -> Tensor:
        """States (n, D) where a block (b, t) has something to predict; `vectors` (b, T, D) are of its uncut rows."""
        states: Tensor = self.model.encoder(vectors[:, -rows.shape[1] : -1], rows[:, :-1] != 0)
        return states[predicted(rows)]

"""Predict each item of a sequence from those before it.

B users, T steps, N predictions, C candidates, D width, V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.data.split import count_items
from benchmark.losses import Candidates, full_softmax, in_batch_softmax, log_frequency, log_inclusion, predicted
from benchmark.parallel import whole_batch
from benchmark.tasks import shuffled
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Split
    from benchmark.models.sequence import SequenceModel
    from benchmark.settings import Settings


class NextItem:
    """Every user once an epoch, whole sequences in a batch."""

    def __init__(self, model: SequenceModel, split: Split, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        self.item_count = split.item_count
        # A user with one training item has nothing to predict.
        self.sequences = split.train[predicted(split.train).any(1)]
        self.frequency = count_items(self.sequences, split.item_count)

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """All users in a new order: items (B, T)."""
        return shuffled(self.sequences, self.settings.batch_size, order)

    def terms(self, batch: Tensor) -> int:
        return int(predicted(batch).sum())

    def loss(self, batch: Tensor) -> Tensor:
        """By the settings' `loss`, over all predictions of a batch (B, T)."""
        states: Tensor = self.model(batch[:, :-1])[predicted(batch)]  # (N, D)
        if self.settings.loss == "full":
            return self._full(states, batch)
        if self.settings.loss == "in_batch":
            return self._in_batch(states, batch)
        raise RecipeError(
            f"a sequence model is not trained with loss={self.settings.loss!r}", hint="choose in_batch or full"
        )

    def _full(self, states: Tensor, batch: Tensor) -> Tensor:
        everything = torch.arange(1, self.item_count + 1, device=batch.device)
        return full_softmax(self.model.items.logits(states, everything), batch[:, 1:][predicted(batch)])

    def _in_batch(self, states: Tensor, batch: Tensor) -> Tensor:
        everyones, own = whole_batch(batch)
        candidates = Candidates.of_batch(everyones, own)
        logits = self.model.items.logits(states, candidates.items)
        log_q = self._log_q(self.frequency[candidates.items], len(everyones))
        return in_batch_softmax(logits, candidates.column, candidates.excluded, log_q)

    def _log_q(self, frequency: Tensor, batch_size: int) -> Tensor:
        """Correct candidates of this training frequency (C,) in a batch of so many users: (C,)."""
        if self.settings.log_q == "frequency":
            return log_frequency(frequency)
        return log_inclusion(frequency, batch_size / len(self.sequences))

"""Tell what a user met from what they did not: training on pairs of user and item, whatever their order.

B pairs of a batch, K drawn items, C candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from benchmark.data.split import count_items
from benchmark.losses import bce, bpr, in_batch_softmax, log_q
from benchmark.models.pairs import DotProduct
from benchmark.parallel import whole_batch
from benchmark.tasks import shuffled, step_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Split
    from benchmark.models.pairs import PairModel
    from benchmark.settings import Settings

PAIRWISE = ("bce", "bpr")
"""Losses of models that are no dot product: one candidate at a time."""


class Pairs:
    """Every training interaction once an epoch, with `negatives` items drawn anew that its user never met."""

    losses: ClassVar[tuple[str, ...]] = ("in_batch", *PAIRWISE)
    reads: ClassVar[tuple[str, ...]] = ("log_q", "negatives")

    def __init__(self, model: PairModel, split: Split, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        self.met = split.met
        # Who met everything has nothing to be told apart.
        self.pairs = split.pairs[self.met.items.counts(split.pairs[:, 0]) < split.item_count]
        self.steps = step_count(self.pairs, settings.batch_size)
        self.frequency = count_items(self.pairs[:, 1], split.item_count)

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """All pairs in a new order: user, item met, and drawn items where the loss has any: (B, 2 + K)."""
        seed = int(torch.randint(2**62, (), generator=order))
        draws = torch.Generator(self.pairs.device).manual_seed(seed)
        for batch in shuffled(self.pairs, self.settings.batch_size, order):
            if self.settings.loss in PAIRWISE:
                yield torch.cat([batch, self.met.unmet(batch[:, 0], self.settings.negatives, draws)], 1)
            else:
                yield batch

    def terms(self, batch: Tensor) -> int:
        return len(batch)

    def loss(self, batch: Tensor) -> Tensor:
        """By the settings' `loss`, over a batch (B, 2 + K)."""
        if self.settings.loss in PAIRWISE:
            scores = self.model.pair_scores(batch[:, 0], batch[:, 1:])
            return self._pairwise(scores[:, 0], scores[:, 1:])
        return self._in_batch(*batch.unbind(1))

    def _pairwise(self, positive: Tensor, negative: Tensor) -> Tensor:
        if self.settings.loss == "bpr":
            return bpr(positive, negative)
        return bce(positive, negative, torch.zeros_like(negative, dtype=torch.bool))

    def _in_batch(self, users: Tensor, items: Tensor) -> Tensor:
        """Tell users' items (B,) from those of the whole batch, whichever rank has them."""
        assert isinstance(self.model, DotProduct)
        everyones, own = whole_batch(items)
        candidates, place = torch.unique(everyones, return_inverse=True)
        column = place[own]
        excluded = self.met.among(users, candidates).scatter(1, column[:, None], value=False)
        logits = self.model.logits(users, candidates)
        share = len(everyones) / len(self.pairs)
        return in_batch_softmax(logits, column, excluded, log_q(self.settings.log_q, self.frequency[candidates], share))

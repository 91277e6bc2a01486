"""The settings' loss of predicted items: what they are told from is drawn, or met in the batch, or everything.

N predictions, B users, T steps, D width, C candidates, K drawn items, V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.data.split import count_items, each_once
from benchmark.losses import (
    Candidates,
    bce,
    gbce_power,
    in_batch_softmax,
    log_q,
    sampled_softmax,
)
from benchmark.parallel import whole_batch

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.models.items import ItemTable
    from benchmark.settings import Settings


LOSSES = ("in_batch", "full", "sampled", "bce", "gbce")
READS = ("log_q", "negatives", "share_negatives", "calibration")


class ItemLoss:
    def __init__(self, items: ItemTable, sequences: Tensor, item_count: int, settings: Settings) -> None:
        """Take the item side of a model, and all (U, T) that it is trained on."""
        self.items = items
        self.item_count = item_count
        self.user_count = len(sequences)
        # A batch has an item if it has one of its users, who may have met it more than once.
        counted = sequences if settings.log_q == "frequency" else each_once(sequences)
        self.frequency = count_items(counted, item_count)
        self.settings = settings

    def __call__(self, states: Tensor, batch: Tensor, is_target: Tensor) -> Tensor:
        """Score states (N, D) against the items of a batch (B, T) that are targets (B, T), in row order."""
        if self.settings.loss == "in_batch":
            return self._in_batch(states, batch, is_target)
        target = batch[is_target]
        if self.settings.loss == "full":
            return self.items.cross_entropy(states, target)
        return self._drawn(states, target)

    def _in_batch(self, states: Tensor, batch: Tensor, is_target: Tensor) -> Tensor:
        everyones, own = whole_batch(batch)
        candidates = Candidates.of_batch(everyones, is_target, own)
        logits = self.items.logits(states, candidates.items)
        share = len(everyones) / self.user_count
        correction = log_q(self.settings.log_q, self.frequency[candidates.items], share)
        return in_batch_softmax(logits, candidates.column, candidates.excluded, correction)

    def _drawn(self, states: Tensor, target: Tensor) -> Tensor:
        """Against items drawn uniformly; one that happens to be the target itself is left out."""
        count = self.settings.negatives
        shape = (count,) if self.settings.share_negatives else (len(target), count)
        drawn = torch.randint(1, self.item_count + 1, shape, device=target.device)
        # Of mixed precision's logits logsumexp would be as rough as they are.
        positive = self.items.logits(states, target[:, None])[:, 0].float()
        negative, excluded = self.items.logits(states, drawn).float(), drawn == target[:, None]
        if self.settings.loss == "sampled":
            return sampled_softmax(positive, negative, excluded)
        is_calibrated = self.settings.loss == "gbce"
        power = gbce_power(count, self.item_count, self.settings.calibration) if is_calibrated else 1.0
        return bce(positive, negative, excluded, power)

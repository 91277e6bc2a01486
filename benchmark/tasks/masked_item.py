"""Hide items of a sequence, and tell them from those before and after.

B users, T steps, N predictions, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch

from benchmark.losses import predicted
from benchmark.models.sequence import shortest_first
from benchmark.tasks import shuffled, step_count
from benchmark.tasks.item_loss import LOSSES, READS, ItemLoss

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Split
    from benchmark.models.bert4rec import BERT4Rec
    from benchmark.settings import Settings

LAST_ONLY = 0.1
"""Share of rows that hide their last item alone, as a test does; the authors do so with one row in eleven."""


class MaskedItem:
    """Every user once an epoch, other items hidden each time."""

    losses: ClassVar[tuple[str, ...]] = LOSSES
    reads: ClassVar[tuple[str, ...]] = (*READS, "mask_share")

    def __init__(self, model: BERT4Rec, split: Split, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        # A single item, once hidden, would have to be told from nothing.
        self.sequences = split.train[predicted(split.train).any(1)]
        self.steps = step_count(self.sequences, settings.batch_size)
        self.item_loss = ItemLoss(model.items, self.sequences, split.item_count, settings)

    def batches(self, order: torch.Generator) -> Iterator[Tensor]:
        """All users in a new order: items, and 1 where they are hidden: (B, 2, T)."""
        for rows in shuffled(self.sequences, self.settings.batch_size, order):
            yield torch.stack([rows, hide(rows, self.settings.mask_share, order)], 1)

    def terms(self, batch: Tensor) -> int:
        return int(batch[:, 1].sum())

    def loss(self, batch: Tensor) -> Tensor:
        """By the settings' `loss`, over all hidden items of a batch (B, 2, T)."""
        order, blocks = shortest_first(batch[:, 0])
        items, hidden = batch[order, 0], batch[order, 1].bool()
        parts = torch.split(hidden, [len(rows) for rows in blocks])
        cut = [part[:, -rows.shape[1] :] for part, rows in zip(parts, blocks, strict=True)]
        states = torch.cat([self.model(rows, part)[part] for rows, part in zip(blocks, cut, strict=True)])  # (N, D)
        return self.item_loss(states, items, hidden)


def hide(rows: Tensor, share: float, draws: torch.Generator) -> Tensor:
    """Choose what to hide of left-padded rows (B, T): a `share` of items, or the last alone; at least that.

    Drawn on the CPU, as their order is, so that every device and every process sees the same.
    """
    hidden = (torch.rand(rows.shape, generator=draws).to(rows.device) < share) & (rows != 0)
    last_only = torch.rand(len(rows), generator=draws).to(rows.device) < LAST_ONLY
    hidden &= ~last_only[:, None]
    hidden[:, -1] |= ~hidden.any(1)
    return hidden

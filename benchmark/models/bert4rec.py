"""BERT4Rec: attention in both directions, trained to tell hidden items (Sun et al., CIKM 2019, https://arxiv.org/abs/1904.06690).

B users, T steps (oldest first, left-padded), D width.

Asked for the next item, it is given the history and one hidden step after it. It is trained by
benchmark/tasks/masked_item.py. Differences from the paper: positions are counted from the newest step, and the loss is
that of the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from benchmark.models.items import item_table
from benchmark.models.recommender import TrainableModel
from benchmark.models.sasrec import Block
from benchmark.models.sequence import shortest_first
from benchmark.models.stack import Stack, with_itself

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.items import ItemTable
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> BERT4Rec:  # noqa: ARG001
    encoder = Encoder(
        settings.width,
        steps=settings.keep_interactions,  # one more than a test history has
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
        norm_first=settings.norm_first,
    )
    return BERT4Rec(item_table(split, settings), encoder, settings.width)


class BERT4Rec(TrainableModel):
    def __init__(self, items: ItemTable, encoder: Encoder, width: int) -> None:
        super().__init__()
        self.items = items
        self.encoder = encoder
        self.hidden_vector = nn.Parameter(torch.randn(width) * width**-0.5)

    def forward(self, history: Tensor, hidden: Tensor) -> Tensor:
        """Take item ids and which of them are hidden, both (B, T); return states (B, T, D) that know no hidden item."""
        vectors = torch.where(hidden[..., None], self.hidden_vector, self.items(history))
        return self.encoder(vectors, (history != 0) | hidden)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self.encoder.compile(*args, **kwargs)

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Score every item as the hidden one after a history: (B,), (B, T) to (B, V)."""
        order, blocks = shortest_first(history)
        last = torch.cat([self._next(rows) for rows in blocks])
        return self.items.scores(last[order.argsort()])

    def _next(self, history: Tensor) -> Tensor:
        longer = pad(history, (0, 1))
        hidden = torch.zeros_like(longer, dtype=torch.bool)
        hidden[:, -1] = True
        return self(longer, hidden)[:, -1]


class Encoder(Stack):
    """Vectors in, states out; every step sees all real ones."""

    def __init__(self, width: int, *, steps: int, blocks: int, heads: int, dropout: float, norm_first: bool) -> None:
        made = (Block(width, heads, dropout, norm_first=norm_first, activation=nn.GELU) for _ in range(blocks))
        super().__init__(width, made, steps=steps, dropout=dropout)

    def mask(self, real: Tensor) -> Tensor:
        """Tell who sees whom, of real steps (B, T): (B, 1, T, T)."""
        return with_itself(real[:, None, :].expand(-1, real.shape[1], -1))

"""eSASRec: SASRec with gated residuals and a sampled softmax (Tikhonovich et al., RecSys 2025, https://arxiv.org/abs/2508.06450).

B users, T steps (oldest first, left-padded), D width.

A block is that of LiGR (Borisyuk et al., 2025, https://arxiv.org/abs/2502.03417): what a layer adds to x is multiplied
by a gate of x, and the feed-forward layer is SwiGLU. Negatives are drawn uniformly, once for the whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import silu

from benchmark.models.items import item_table
from benchmark.models.sasrec import Attention
from benchmark.models.sequence import SequenceModel
from benchmark.models.stack import Stack

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

SETTINGS = {"loss": "sampled", "negatives": 256, "item_bias": False}


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    encoder = ESASRec(
        settings.width,
        steps=settings.keep_interactions - 1,
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
    )
    return SequenceModel(item_table(split, settings), encoder)


class ESASRec(Stack):
    """Item vectors in, user states out."""

    def __init__(self, width: int, *, steps: int, blocks: int = 2, heads: int = 2, dropout: float = 0.1) -> None:
        made = (Block(width, heads, dropout) for _ in range(blocks))
        super().__init__(width, made, steps=steps, dropout=dropout)


class Block(nn.Module):
    """x + sigmoid(gate(x)) * layer(norm(x)), for attention and then for the feed-forward layer."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = SwiGLU(width, 4 * width, dropout)
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_gate, self.feed_forward_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Take (B, T, D) and who may see whom (B, 1, T, T); return (B, T, D)."""
        attended = self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.attention_gate(x).sigmoid() * attended
        mapped = self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x + self.feed_forward_gate(x).sigmoid() * mapped


class SwiGLU(nn.Module):
    """Feed-forward layer with a gated hidden layer (Shazeer, 2020, https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gate_and_value = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, T, D); return (B, T, D)."""
        gate, value = self.gate_and_value(x).chunk(2, -1)
        return self.out(self.dropout(silu(gate) * value))

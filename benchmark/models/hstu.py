"""HSTU: attention without softmax, gated (Zhai et al., ICML 2024, https://arxiv.org/abs/2402.17152).

B users, T steps (oldest first, left-padded), D width, H heads.

A block: u, v, q, k = SiLU(linear(norm(x))); each step sums the past's v with weights SiLU(q · k + bias) instead of
shares of one, so that how much there was is not lost; the sum is normalised, gated by u, mapped and added to x. The
bias is learned for each distance in steps. Differences from the paper: distances in time are left out, because a
release may have none; the loss is that of the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from benchmark.models.items import item_table
from benchmark.models.sequence import SequenceModel
from benchmark.models.stack import Stack, require_shares

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    encoder = HSTU(
        settings.width,
        steps=settings.keep_interactions - 1,
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
    )
    return SequenceModel(item_table(split, settings), encoder)


class HSTU(Stack):
    """Item vectors in, user states out."""

    def __init__(self, width: int, *, steps: int, blocks: int = 2, heads: int = 2, dropout: float = 0.1) -> None:
        made = (Block(width, steps, heads, dropout) for _ in range(blocks))
        super().__init__(width, made, steps=steps, dropout=dropout)


class Block(nn.Module):
    def __init__(self, width: int, steps: int, heads: int, dropout: float) -> None:
        super().__init__()
        require_shares(width, heads)
        self.heads, self.steps = heads, steps
        self.norm = nn.LayerNorm(width)
        self.gate_value_query_key = nn.Linear(width, 4 * width)
        self.distance = nn.Parameter(torch.zeros(steps))
        self.attended_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Take (B, T, D) and who sees whom (B, 1, T, T); return (B, T, D)."""
        u, v, q, k = silu(self.gate_value_query_key(self.norm(x))).chunk(4, -1)
        q, k, v = (part.view(*x.shape[:2], self.heads, -1).transpose(1, 2) for part in (q, k, v))  # (B, H, T, D / H)
        step = torch.arange(x.shape[1], device=x.device)
        bias = self.distance[(step[:, None] - step).clamp(min=0)]  # (T, T)
        # By the longest length, as the authors' code does: the same for a padded row and for the row itself.
        weights = silu(q @ k.mT + bias) * seen / self.steps
        attended = (weights @ v).transpose(1, 2).flatten(2)  # (B, T, D)
        return x + self.out(self.dropout(self.attended_norm(attended) * u))

"""NFM: fully connected layers on the product of two vectors.

He & Chua, "Neural factorization machines for sparse predictive analytics", SIGIR 2017,
https://arxiv.org/abs/1708.05027.

With two fields, user u and item v, what the paper pools is u ⊙ v.

Difference from the paper: no batch normalisation after pooling.

B users, C items, D width, H hidden width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from benchmark.models.factorised import Factorised, by_columns
from benchmark.models.mlp import mlp

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

SETTINGS = {"loss": "bce"}  # no dot product: a whole batch of candidates for each pair would be too many


def build(split: Split, settings: Settings, side: Side) -> Factorised:  # noqa: ARG001
    interaction = NFM(settings.width, layers=settings.blocks, dropout=settings.dropout)
    return Factorised(interaction, split.user_count, split.item_count, settings.width)


class NFM(nn.Module):
    """Vectors of users and items in, the second-order part of a score out."""

    def __init__(self, width: int, *, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.first = nn.Linear(width, width)
        self.rest = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), *mlp([width] * layers + [1], dropout))

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs (N, D), (N, D): (N,)."""
        return self.rest(self.first(self.dropout(users * items))).squeeze(-1)

    def grid(self, users: Tensor, items: Tensor) -> Tensor:
        """W (u ⊙ v) is (W diag u) v: a matrix a user, which all items share: (B, D), (C, D) to (B, C)."""
        folded = self.first.weight * users[:, None]  # (B, H, D)
        hidden = (folded.flatten(0, 1) @ items.T).view(len(users), -1, len(items))
        return by_columns(self.rest, hidden.add_(self.first.bias[:, None])).squeeze(1)

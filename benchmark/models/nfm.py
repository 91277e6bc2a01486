"""NFM: fully connected layers on the product of two vectors.

He & Chua, "Neural factorization machines for sparse predictive analytics", SIGIR 2017,
https://arxiv.org/abs/1708.05027.

With two fields, user u and item v, what the paper pools is u ⊙ v.

Difference from the paper: no batch normalisation after pooling.

B users, C items, D width, H hidden width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from benchmark.models.factorised import Factorised, by_columns, over
from benchmark.models.mlp import mlp

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> Factorised:  # noqa: ARG001
    return over(NFM, split, settings)


class NFM(nn.Module):
    """Vectors of users and items in, the second-order part of a score out."""

    def __init__(self, width: int, *, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = mlp([width, *[width] * layers, 1], dropout)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs (N, D), (N, D): (N,)."""
        return self.layers(self.dropout(users * items)).squeeze(-1)

    def grid(self, users: Tensor, items: Tensor) -> Tensor:
        """W (u ⊙ v) is (W diag u) v: a matrix a user, which all items share: (B, D), (C, D) to (B, C)."""
        first = cast("nn.Linear", self.layers[0])
        folded = first.weight * users[:, None]  # (B, H, D)
        hidden = (folded.flatten(0, 1) @ items.T).view(len(users), -1, len(items))
        return by_columns(list(self.layers)[1:], hidden.add_(first.bias[:, None])).squeeze(1)

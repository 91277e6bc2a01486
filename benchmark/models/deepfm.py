"""DeepFM: a factorisation machine and fully connected layers on the same vectors.

Guo, Tang, Ye, Li & He, "DeepFM: a factorization-machine based neural network for CTR prediction", IJCAI 2017,
https://arxiv.org/abs/1703.04247.

With two fields, user u and item v: score = u · v + layers([u, v]).

B users, C items, D width, H hidden width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from benchmark.models.factorised import Factorised, by_columns, over
from benchmark.models.mlp import mlp

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> Factorised:  # noqa: ARG001
    return over(DeepFM, split, settings)


class DeepFM(nn.Module):
    """Vectors of users and items in, the second-order part of a score out."""

    def __init__(self, width: int, *, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = mlp([2 * width, *[width] * layers, 1], dropout)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs (N, D), (N, D): (N,)."""
        deep = self.layers(torch.cat([users, items], 1)).squeeze(-1)
        return (users * items).sum(1) + deep

    def grid(self, users: Tensor, items: Tensor) -> Tensor:
        """W [u, v] is Wu u + Wv v: one product a user, one an item: (B, D), (C, D) to (B, C)."""
        first = cast("nn.Linear", self.layers[0])
        for_users, for_items = first.weight.chunk(2, 1)
        hidden = (users @ for_users.T + first.bias)[:, :, None] + for_items @ items.T  # (B, H, C)
        return users @ items.T + by_columns(list(self.layers)[1:], hidden).squeeze(1)

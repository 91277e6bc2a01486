"""LightGCN: ids smoothed over the graph of users and items, and nothing else.

He, Deng, Wang, Li, Zhang & Wang, "LightGCN: simplifying and powering graph convolution network for recommendation",
SIGIR 2020, https://arxiv.org/abs/2002.02126.

A step over the graph sums a node's neighbours, an edge weighing 1 / sqrt(its user's degree · its item's degree); a
final vector is the mean over 0 to L steps.

Difference from the paper: weights decay as AdamW has it, instead of an L2 term for the batch's own rows.

U users, V items with padding, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.models.graph import Graph
from benchmark.models.pairs import DotProduct
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> DotProduct:  # noqa: ARG001
    encoder = LightGCN(Graph.of(split), settings.width, steps=settings.blocks)
    return DotProduct(encoder, split.user_count, split.item_count)


class LightGCN(nn.Module):
    """Users and items in, their vectors out."""

    def __init__(self, graph: Graph, width: int, *, steps: int = 2) -> None:
        super().__init__()
        self.graph = graph
        self.steps = steps
        # Short at first: most users have few edges, and what a long random vector says of them outlasts training.
        self.users = new_table(len(graph.user_degree), width, length=0.1)
        self.items = new_table(len(graph.item_degree), width, length=0.1, padding=0)
        degrees = graph.user_degree[graph.user] * graph.item_degree[graph.item]
        self.register_buffer("edge_weight", degrees.float().rsqrt(), persistent=False)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Take ids (B,), (C,) from the vectors of all: (B, D), (C, D)."""
        all_users, all_items = self._tables()
        return all_users[users], all_items[items]

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Work out the vectors of all users (U, D) and items (V, D)."""
        weight = self.get_buffer("edge_weight")
        layers = [(self.users.weight, self.items.weight)]
        for _ in range(self.steps):
            users, items = layers[-1]
            layers.append((self.graph.to_users(items, weight), self.graph.to_items(users, weight)))
        user_layers, item_layers = zip(*layers, strict=True)
        return torch.stack(user_layers).mean(0), torch.stack(item_layers).mean(0)

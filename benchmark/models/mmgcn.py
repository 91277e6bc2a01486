"""MMGCN: a graph network for each kind of knowledge of an item.

Wei, Wang, Nie, He, Hong & Chua, "MMGCN: multi-modal graph convolution network for personalized recommendation of
micro-video", MM 2019, https://doi.org/10.1145/3343031.3351034.

Of each modality m users have learned tastes and items have their features, projected to width D. A step over the graph:
    h = LeakyReLU(mean of the neighbours · W1)
    x' = LeakyReLU(h · W3 + LeakyReLU(x · W2) + id vector)
and the final vector is the mean over the modalities. ID: the ids' own vectors are the one modality, for items and for
users. ID+V: frozen features are another.

Difference from the paper: weights decay as AdamW has it. MicroLens published no code of it.

U users, V items with padding, D width, F numbers of a feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from benchmark.models.graph import Graph
from benchmark.models.pairs import DotProduct
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> DotProduct:  # noqa: ARG001
    return _built(split, settings, None)


def build_id_v(split: Split, settings: Settings, side: Side) -> DotProduct:
    return _built(split, settings, side.features(settings.features))


def _built(split: Split, settings: Settings, features: Tensor | None) -> DotProduct:
    graph = Graph.of(split)
    encoder = MMGCN(graph, settings.width, steps=settings.blocks, dropout=settings.dropout, features=features)
    return DotProduct(encoder, split.user_count, split.item_count)


class MMGCN(nn.Module):
    """Users and items in, their vectors out."""

    def __init__(
        self, graph: Graph, width: int, *, steps: int = 2, dropout: float = 0.0, features: Tensor | None = None
    ) -> None:
        """Take `features` (V, F) for ID+V."""
        super().__init__()
        self.graph = graph
        self.users = new_table(len(graph.user_degree), width)
        self.items = new_table(len(graph.item_degree), width, padding=0)
        self.id_steps = nn.ModuleList(Step(width) for _ in range(steps))
        self.register_buffer("user_share", 1 / graph.user_degree[graph.user].float(), persistent=False)
        self.register_buffer("item_share", 1 / graph.item_degree[graph.item].float(), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("features", features, persistent=False)
        if features is not None:
            self.tastes = new_table(len(graph.user_degree), width)
            self.projection = nn.Linear(features.shape[1], width)
            self.feature_steps = nn.ModuleList(Step(width) for _ in range(steps))

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Take ids (B,), (C,) from the vectors of all: (B, D), (C, D)."""
        all_users, all_items = self._tables()
        return all_users[users], all_items[items]

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Work out the vectors of all users (U, D) and items (V, D)."""
        modalities = [self._walk(self.id_steps, self.users.weight, self.items.weight)]
        if self.features is not None:
            described = self.projection(self.get_buffer("features"))
            modalities.append(self._walk(self.feature_steps, self.tastes.weight, described))
        users, items = zip(*modalities, strict=True)
        return torch.stack(users).mean(0), torch.stack(items).mean(0)

    def _walk(self, steps: nn.ModuleList, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Walk over the graph from users (U, D) and items (V, D) of one modality."""
        users, items = normalize(users), normalize(items)
        for step in steps:
            of_users = self.graph.to_users(self.dropout(items), self.get_buffer("user_share"))
            of_items = self.graph.to_items(self.dropout(users), self.get_buffer("item_share"))
            users, items = step(users, of_users, self.users.weight), step(items, of_items, self.items.weight)
        return users, items


class Step(nn.Module):
    """Aggregate neighbours, then combine them with what a node was and with its id; the same for users and items."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(width, width, bias=False)
        self.keep = nn.Linear(width, width)
        self.combine = nn.Linear(width, width)

    def forward(self, own: Tensor, neighbours: Tensor, ids: Tensor) -> Tensor:
        """Take nodes, the means of their neighbours and their id vectors, each (R, D): (R, D)."""
        gathered = leaky_relu(self.aggregate(neighbours))
        return leaky_relu(self.combine(gathered) + leaky_relu(self.keep(own)) + ids)

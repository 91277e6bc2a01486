"""GRCN: a graph network over edges that content has vouched for.

Wei, Wang, Nie, He & Chua, "Graph-refined convolutional network for multimedia recommendation with implicit feedback",
MM 2020, https://arxiv.org/abs/2111.02036.

Not everything met was liked. Of each modality, a user's taste is routed for some rounds towards those of their items
that are alike,
    taste = normalised(taste + Σ a_e · item),   a = softmax over a user's edges of taste · item
and what an edge then weighs on the way to a user, or to an item, is its softmax there times how far the node trusts the
modality, of the modality that says most. Ids walk over the graph so weighed; a final vector is the sum over 0 to L
steps, beside the refined vectors of each modality. ID: the ids' own vectors are the one modality. ID+V: frozen features
are another.

Differences from the paper: trust starts at 1 instead of at random, and weights decay as AdamW has it. MicroLens
published no code of it.

U users, V items with padding, E edges, D width, F numbers of a feature, M modalities.
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

ROUNDS = 3  # of routing, as in the paper


def build(split: Split, settings: Settings, side: Side) -> DotProduct:  # noqa: ARG001
    return _built(split, settings, None)


def build_id_v(split: Split, settings: Settings, side: Side) -> DotProduct:
    return _built(split, settings, side.features(settings.features))


def _built(split: Split, settings: Settings, features: Tensor | None) -> DotProduct:
    graph = Graph.of(split)
    encoder = GRCN(graph, settings.width, steps=settings.blocks, dropout=settings.dropout, features=features)
    return DotProduct(encoder, split.user_count, split.item_count)


class GRCN(nn.Module):
    """Users and items in, their vectors out."""

    def __init__(
        self, graph: Graph, width: int, *, steps: int = 2, dropout: float = 0.0, features: Tensor | None = None
    ) -> None:
        """Take `features` (V, F) for ID+V."""
        super().__init__()
        user_count, item_count = len(graph.user_degree), len(graph.item_degree)
        self.graph = graph
        self.steps = steps
        self.users = new_table(user_count, width)
        self.items = new_table(item_count, width, padding=0)
        modalities = 1 if features is None else 2
        self.tastes = new_table(user_count, modalities * width)
        self.user_trust = nn.Parameter(torch.ones(user_count, modalities))
        self.item_trust = nn.Parameter(torch.ones(item_count, modalities))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("features", features, persistent=False)
        self.projection = None if features is None else nn.Linear(features.shape[1], width)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Take ids (B,), (C,) from the vectors of all: (B, (1 + M) D), (C, (1 + M) D)."""
        all_users, all_items = self._tables()
        return all_users[users], all_items[items]

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Work out the vectors of all users and items: (U, (1 + M) D), (V, (1 + M) D)."""
        modalities = self._modalities()
        tastes = self.tastes.weight.chunk(len(modalities), 1)
        refined = [refine(self.graph, taste, items) for taste, items in zip(tastes, modalities, strict=True)]
        to_user = _most_trusted([one.to_user for one in refined], self.user_trust[self.graph.user])
        to_item = _most_trusted([one.to_item for one in refined], self.item_trust[self.graph.item])
        users, items = self._walk(to_user, to_item)
        return (
            torch.cat([users, *(one.users for one in refined)], 1),
            torch.cat([items, *(one.items for one in refined)], 1),
        )

    def _modalities(self) -> list[Tensor]:
        """What is known of the items: (V, D) each."""
        if self.projection is None:
            return [self.items.weight]
        return [self.items.weight, leaky_relu(self.projection(self.get_buffer("features")))]

    def _walk(self, to_user: Tensor, to_item: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the ids over 0 to L steps along edges of these weights (E,): (U, D), (V, D)."""
        users, items = normalize(self.users.weight), normalize(self.items.weight)
        all_users, all_items = users, items
        for _ in range(self.steps):
            users, items = (
                self.graph.to_users(self.dropout(items), to_user),
                self.graph.to_items(self.dropout(users), to_item),
            )
            all_users, all_items = all_users + users, all_items + items
        return all_users, all_items


class Refined:
    """What routing makes of one modality."""

    def __init__(self, users: Tensor, items: Tensor, to_user: Tensor, to_item: Tensor) -> None:
        self.users = users  # (U, D)
        self.items = items  # (V, D)
        self.to_user = to_user  # (E,) sums to 1 over a user's edges
        self.to_item = to_item  # (E,) sums to 1 over an item's edges


def refine(graph: Graph, tastes: Tensor, items: Tensor) -> Refined:
    """Route tastes (U, D) towards items (V, D), then see how much of each edge that leaves."""
    tastes, items = normalize(tastes), normalize(items)
    for _ in range(ROUNDS):
        share = softmax_at(graph.user, graph.products(tastes, items), len(tastes))
        tastes = normalize(tastes + graph.to_users(items, share))
    alike = graph.products(tastes, items)
    to_user = softmax_at(graph.user, alike, len(tastes))
    to_item = softmax_at(graph.item, alike, len(items))
    users = tastes + graph.to_users(items, to_user)
    return Refined(users, items + graph.to_items(tastes, to_item), to_user, to_item)


def softmax_at(node: Tensor, values: Tensor, node_count: int) -> Tensor:
    """Softmax of edges' values (E,), each from -1 to 1, over the edges of the same node (E,): (E,)."""
    powers = values.exp()  # of a cosine: no overflow to guard against
    total = powers.new_zeros(node_count).index_add(0, node, powers)
    return powers / total[node]


def _most_trusted(weights: list[Tensor], trust: Tensor) -> Tensor:
    """Weigh edges (E,) by the modality that says most, times trust in it (E, M); nothing below zero: (E,)."""
    return (torch.stack(weights, 1) * trust).amax(1).relu()

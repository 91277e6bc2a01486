"""ItemKNN: what was met together with a user's last items.

Sarwar, Karypis, Konstan & Riedl, "Item-based collaborative filtering recommendation algorithms", WWW 2001,
https://doi.org/10.1145/371920.372071.

The similarity of two items is the cosine of their columns in the table of who met what. Each past item adds its
similarities, the newest in full and the one j steps before it `recency`^j of them: plain ItemKNN is `recency` 1.

B users, T steps (oldest first, left-padded with item 0), K neighbours, V items with padding, U users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from benchmark.data.met import Met
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

BLOCK_NUMBERS = 4_000_000  # of a dense block of the similarity matrix, which never exists whole


def build(split: Split, settings: Settings, side: Side) -> ItemKNN:  # noqa: ARG001
    return ItemKNN(split.met, neighbours=settings.neighbours, recency=settings.recency)


class ItemKNN:
    def __init__(self, met: Met, *, neighbours: int, recency: float) -> None:
        self.item_count = met.item_count
        self.recency = recency
        self.neighbours, self.similarity = nearest_items(met, min(neighbours, met.item_count))

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Sum up the neighbours of the history: (B,), (B, T) to (B, V)."""
        age = torch.arange(history.shape[1] - 1, -1, -1, device=history.device)
        added = self.similarity[history] * (self.recency**age)[:, None]  # (B, T, K); padding has similarities of 0
        scores = added.new_zeros(len(history), self.item_count + 1)
        return scores.scatter_add_(1, self.neighbours[history].flatten(1), added.flatten(1))


def nearest_items(met: Met, k: int) -> tuple[Tensor, Tensor]:
    """Find each item's `k` nearest others and their cosines: (V, K), (V, K); who has fewer gets cosines of 0."""
    scale = torch.bincount(met.item, minlength=met.item_count + 1).clamp(min=1).double().rsqrt()
    found = []
    height = max(1, BLOCK_NUMBERS // (met.item_count + 1))
    for start in range(0, met.item_count + 1, height):
        items = torch.arange(start, min(start + height, met.item_count + 1), device=met.item.device)
        cosine = met_together(met, items) * scale * scale[items, None]
        cosine[torch.arange(len(items)), items] = 0
        found.append(cosine.float().topk(k))
    return torch.cat([top.indices for top in found]), torch.cat([top.values for top in found])


def met_together(met: Met, items: Tensor) -> Tensor:
    """Count the users who met each of consecutive `items` (N,) and each other item: (N, V)."""
    order, bounds = met.by_item
    pairs = order[bounds[items[0]] : bounds[items[-1] + 1]]
    place, other = met.items.of(met.user[pairs])
    cells = (met.item[pairs][place] - items[0]) * (met.item_count + 1) + other
    return torch.bincount(cells, minlength=len(items) * (met.item_count + 1)).view(len(items), -1)

"""EASE: one linear layer between items, solved at once.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, https://arxiv.org/abs/1905.03375.

The table X of who met what is to be rebuilt from itself, X ≈ X W, with no item's own column used for it. With ridge λ,
P = (XᵀX + λ I)⁻¹ gives W = I - P / diag(P), column by column.

B users, T steps (left-padded with item 0), V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmark.data.met import Met
from benchmark.models.itemknn import met_together
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

MOST_ITEMS = 40_000
"""Two matrices of this side take 13 GB, and solving them 64 teraflop: minutes of a laptop."""
BLOCK = 256


def build(split: Split, settings: Settings, side: Side) -> EASE:  # noqa: ARG001
    return EASE(Met.of_pairs(split.pairs, split.user_count, split.item_count), ridge=settings.ridge)


class EASE:
    def __init__(self, met: Met, *, ridge: float) -> None:
        _require_small(met.item_count)
        self.weight = solved(met, ridge)  # (V, V)

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Sum up the rows of what was met, each item counted once: (B,), (B, T) to (B, V)."""
        return embedding_bag(_once(history), self.weight, padding_idx=0, mode="sum")


def solved(met: Met, ridge: float) -> Tensor:
    """Solve for W (V, V) in float32; the row and the column of padding are zero."""
    V = met.item_count + 1
    gram = torch.empty(V, V, device=met.item.device)
    for start in range(0, V, BLOCK):
        items = torch.arange(start, min(start + BLOCK, V), device=met.item.device)
        gram[items] = met_together(met, items).float()
    gram.diagonal().add_(ridge)
    # In place wherever torch can: a copy is a gigabyte at 16,000 items.
    torch.linalg.cholesky(gram, out=gram)
    precision = torch.cholesky_inverse(gram, out=gram)
    weight = precision.div_(-precision.diagonal().clone())
    weight.fill_diagonal_(0)
    return weight


def _once(history: Tensor) -> Tensor:
    """Put padding for what a row (B, T) has met before."""
    ordered = history.sort(dim=1).values
    repeated = torch.zeros_like(ordered, dtype=torch.bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return ordered.masked_fill(repeated, 0)


def _require_small(item_count: int) -> None:
    if item_count > MOST_ITEMS:
        gigabytes = 2 * 4 * item_count**2 / 1e9
        raise RecipeError(
            f"EASE solves for a matrix of items by items: {item_count:,} of them take {gigabytes:,.0f} GB, "
            f"and it is made for {MOST_ITEMS:,} at most",
            hint="leave ease out on this release, or build a smaller one with `microlens-build subset --users`",
        )

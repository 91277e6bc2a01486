"""EASE: one linear layer between items, solved at once.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, https://arxiv.org/abs/1905.03375.

The table X of who met what is to be rebuilt from itself, X ≈ X W, with no item's own column used for it. With ridge λ,
P = (XᵀX + λ I)⁻¹ gives W = I - P / diag(P), column by column. That takes about V³ multiplications and 8 V² bytes.

B users, T steps (left-padded with item 0), V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from benchmark.data.split import each_once
from benchmark.memory import free_bytes
from benchmark.models.itemknn import met_together
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from benchmark.data.met import Met
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

BLOCK = 256


def build(split: Split, settings: Settings, side: Side) -> EASE:  # noqa: ARG001
    return EASE(split.met, ridge=settings.ridge)


class EASE:
    def __init__(self, met: Met, *, ridge: float) -> None:
        _require_room(met.item_count, met.item.device)
        self.weight = solved(met, ridge)  # (V, V)

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Sum up the rows of what was met, each item counted once: (B,), (B, T) to (B, V)."""
        return embedding_bag(each_once(history), self.weight, padding_idx=0, mode="sum")


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


def _require_room(item_count: int, device: torch.device) -> None:
    """RecipeError if two matrices of items by items, one solved into the other, find no room."""
    needed, free = 2 * 4 * (item_count + 1) ** 2, free_bytes(device)
    if needed > free:
        raise RecipeError(
            f"EASE solves for a matrix of items by items: {item_count:,} of them take {needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB of {device}'s memory are free",
            hint="leave ease out, choose another --device, or ask about fewer items, as with --warm 20",
        )

"""DSSM: two towers that meet in a dot product.

Huang, He, Gao, Deng, Acero & Heck, "Learning deep structured semantic models for web search using clickthrough data",
CIKM 2013, https://doi.org/10.1145/2505515.2505665.

As MicroLens uses it, a tower's input is the learned vector of an id. ID+V: an item's frozen features, projected to the
same width, are added to its id vector, or a matrix makes one of both (benchmark/models/fusion.py).

Differences from the paper: ids instead of letter trigrams, ReLU instead of tanh, a dot product instead of a cosine; the
loss is a softmax over the batch's items, corrected for how often each is there, instead of four drawn ones.

B users, C items, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from benchmark.models.fusion import FeatureFusion, feature_fusion
from benchmark.models.mlp import mlp
from benchmark.models.pairs import DotProduct
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> DotProduct:  # noqa: ARG001
    return _built(split, settings)


def build_id_v(split: Split, settings: Settings, side: Side) -> DotProduct:
    return _built(split, settings, feature_fusion(settings, side))


def _built(split: Split, settings: Settings, fusion: FeatureFusion | None = None) -> DotProduct:
    towers = DSSM(
        split.user_count,
        split.item_count,
        settings.width,
        layers=settings.blocks,
        dropout=settings.dropout,
        fusion=fusion,
    )
    return DotProduct(towers, split.user_count, split.item_count)


class DSSM(nn.Module):
    """Users (B,) and items (C,) in, vectors (B, D) and (C, D) out."""

    def __init__(
        self,
        user_count: int,
        item_count: int,
        width: int,
        *,
        layers: int = 1,
        dropout: float = 0.0,
        fusion: FeatureFusion | None = None,
    ) -> None:
        """Take for ID+V what puts frozen features together with ids."""
        super().__init__()
        self.users = new_table(user_count, width)
        self.items = new_table(item_count + 1, width, padding=0)
        self.fusion = fusion
        self.user_tower = mlp([width] * (layers + 2), dropout)
        self.item_tower = mlp([width] * (layers + 2), dropout)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the towers: ids are looked up before them."""
        self.user_tower.compile(*args, **kwargs)
        self.item_tower.compile(*args, **kwargs)

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Send ids (B,) and (C,) through their towers: (B, D), (C, D)."""
        known = self.items(items) if self.fusion is None else self.fusion(self.items(items), items)
        return self.user_tower(self.users(users)), self.item_tower(known)

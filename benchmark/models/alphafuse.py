"""AlphaFuse: ids learned where content says nothing (Hu et al., SIGIR 2025, https://arxiv.org/abs/2504.19218).

V items with padding, F numbers of a frozen feature, D width.

Content vectors vary in few directions. The strongest D / 2 of them are kept, each scaled to the same spread, and stay
as they are; ids are learned in the other D / 2, orthogonal to them, so that neither can undo the other. It is the
multimodal model of this leaderboard because it takes any frozen feature, adds no loss and no parameter to SASRec, and
gives an item that nobody met a place by its content. Difference from the authors' code: the settings' loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.models import sasrec
from benchmark.models.fusion import centred
from benchmark.models.items import item_table
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.sequence import SequenceModel
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:
    frozen = settings.width // 2
    content = Beside(strongest(side.features(settings.features), frozen) * settings.width**-0.5)
    return sasrec.over(item_table(split, settings, width=settings.width - frozen, side=content), settings)


def check_features(features: Tensor, settings: Settings) -> None:
    """RecipeError unless features (V, F) have the directions that this width keeps of them."""
    count = settings.width // 2
    if count == 0:
        raise RecipeError(
            "alphafuse keeps width / 2 directions of features, and width is 1", hint="set width to 2 or more"
        )
    if count > features.shape[1]:
        raise RecipeError(
            f"alphafuse keeps width / 2 = {count} directions of features that have only {features.shape[1]}",
            hint=f"lower width to {2 * features.shape[1]} or below",
        )


class Beside(nn.Module):
    """Id vectors (..., D / 2) and, beside them, the frozen content (V, D / 2) of their items."""

    def __init__(self, content: Tensor) -> None:
        super().__init__()
        self.register_buffer("content", content, persistent=False)

    def forward(self, vectors: Tensor, items: Tensor) -> Tensor:
        """Take id vectors (..., D / 2) and ids (...); return item vectors (..., D)."""
        return torch.cat([self.get_buffer("content")[items], vectors], -1)


def strongest(features: Tensor, count: int) -> Tensor:
    """Features (V, F) along their `count` directions of largest variance, of variance one in each: (V, count <= F).

    Rows of zeros, of items without a feature, stay zero; so does a direction without any variance.
    """
    x = centred(features.double())
    has_some = int(features.any(1).sum())
    variance, directions = torch.linalg.eigh(x.T @ x / max(has_some, 1))  # ascending
    variance, directions = variance[-count:], directions[:, -count:]
    is_there = variance > 1e-9 * variance[-1:].clamp(min=1e-30)  # less is float32's noise
    scale = torch.where(is_there, variance.clamp(min=1e-30).rsqrt(), 0)
    return (x @ directions * scale).float()

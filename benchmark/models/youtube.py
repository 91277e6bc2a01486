"""YouTube's candidate generation: the mean of what was watched, a feed-forward tower, a softmax over videos.

Covington, Adams and Sargin (RecSys 2016, https://research.google/pubs/pub45530/). MicroLens' rows YouTube_ID and, with
frozen video features beside the ids, YouTube_ID+V; it published no code for them, so this is the paper's own recipe.

B users, T steps (oldest first, left-padded), D width.

Differences from the paper: every step of a sequence is predicted from those before it instead of one held-out watch a
user, and there are no searches, demographics or age of the example. The loss is that of the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from benchmark.models.fusion import feature_fusion
from benchmark.models.items import item_table
from benchmark.models.sequence import SequenceModel

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.items import ItemTable
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    return _over(item_table(split, settings), settings)


def build_id_v(split: Split, settings: Settings, side: Side) -> SequenceModel:
    return _over(item_table(split, settings, side=feature_fusion(settings, side)), settings)


def _over(items: ItemTable, settings: Settings) -> SequenceModel:
    return SequenceModel(items, YouTube(settings.width, blocks=settings.blocks, dropout=settings.dropout))


class YouTube(nn.Module):
    """Item vectors in, user states out."""

    def __init__(self, width: int, *, blocks: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        hidden = [layer for _ in range(blocks) for layer in (nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))]
        self.tower = nn.Sequential(*hidden, nn.Linear(width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, real: Tensor) -> Tensor:
        """Take item vectors (B, T, D) and which steps are real (B, T); return states (B, T, D)."""
        is_real = real[..., None]
        total = (self.dropout(vectors) * is_real).cumsum(1)
        return self.tower(total / is_real.cumsum(1).clamp(min=1))

"""SASRec: self-attention over a user's past items (Kang & McAuley, ICDM 2018, https://arxiv.org/abs/1808.09781).

B users, T steps (oldest first, left-padded), D width, H heads.

Differences from the paper: the loss is a softmax over many negatives instead of one sampled negative, as MicroLens
trains it, and the feed-forward layer is 4 D wide, as in MicroLens' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from benchmark.models.fusion import MeanFusion, PopularityLevel, TagMean, feature_fusion
from benchmark.models.items import item_table
from benchmark.models.sequence import SequenceModel
from benchmark.models.stack import Stack, require_shares

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.models.items import ItemTable
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    return over(item_table(split, settings), settings)


def build_id_v(split: Split, settings: Settings, side: Side) -> SequenceModel:
    return over(item_table(split, settings, side=feature_fusion(settings, side)), settings)


def build_id_pop(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    return _over_mean(split, settings, PopularityLevel(split.frequency, settings.width))


def build_id_tag(split: Split, settings: Settings, side: Side) -> SequenceModel:
    return _over_mean(split, settings, TagMean(side.tags(), settings.width))


def build_id_pop_tag(split: Split, settings: Settings, side: Side) -> SequenceModel:
    parts = PopularityLevel(split.frequency, settings.width), TagMean(side.tags(), settings.width)
    return _over_mean(split, settings, *parts)


def _over_mean(split: Split, settings: Settings, *parts: nn.Module) -> SequenceModel:
    return over(item_table(split, settings, side=MeanFusion(parts)), settings)


def over(items: ItemTable, settings: Settings) -> SequenceModel:
    """Make SASRec of the settings, whatever its items are made of."""
    encoder = SASRec(
        settings.width,
        steps=settings.keep_interactions - 1,
        blocks=settings.blocks,
        heads=settings.heads,
        dropout=settings.dropout,
        norm_first=settings.norm_first,
    )
    return SequenceModel(items, encoder)


class SASRec(Stack):
    """Item vectors in, user states out."""

    def __init__(
        self, width: int, *, steps: int, blocks: int = 2, heads: int = 2, dropout: float = 0.1, norm_first: bool = True
    ) -> None:
        made = (Block(width, heads, dropout, norm_first=norm_first) for _ in range(blocks))
        super().__init__(width, made, steps=steps, dropout=dropout)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each in a residual normalised before (pre-LN) or after it (post-LN)."""

    def __init__(
        self, width: int, heads: int, dropout: float, *, norm_first: bool, activation: type[nn.Module] = nn.ReLU
    ) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), activation(), nn.Linear(4 * width, width))
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.norm_first = norm_first

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Take (B, T, D) and who may see whom (B, 1, T, T); return (B, T, D)."""
        if self.norm_first:
            x = x + self.dropout(self.attention(self.attention_norm(x), mask))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        require_shares(width, heads)
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Take (B, T, D) and who may see whom (B, 1, T, T); return (B, T, D)."""
        q, k, v = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, D / H)
        rate = self.dropout if self.training else 0.0
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        return self.out(attended.transpose(1, 2).flatten(2))

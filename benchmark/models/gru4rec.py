"""GRU4Rec: a recurrent network over a user's past items (Hidasi et al., ICLR 2016, https://arxiv.org/abs/1511.06939).

B users, T steps (oldest first, left-padded), D width.

As MicroLens runs it: GRU blocks without bias, then one linear layer. Differences from the paper: whole sequences in a
batch instead of parallel sessions cut at a step, and the loss of the settings instead of BPR or TOP1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.models.items import item_table
from benchmark.models.sequence import SequenceModel

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    return SequenceModel(
        item_table(split, settings), GRU4Rec(settings.width, blocks=settings.blocks, dropout=settings.dropout)
    )


class GRU4Rec(nn.Module):
    """Item vectors in, user states out."""

    def __init__(self, width: int, *, blocks: int = 1, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        between = dropout if blocks > 1 else 0.0
        self.gru = nn.GRU(width, width, blocks, bias=False, batch_first=True, dropout=between)
        self.out = nn.Linear(width, width)

    def forward(self, vectors: Tensor, real: Tensor) -> Tensor:
        """Take item vectors (B, T, D) and which steps are real (B, T); return states (B, T, D)."""
        # Without a bias, a GRU at rest that is given zeros stays at rest: padding on the left changes nothing.
        inputs = self.dropout(vectors * real[..., None])
        # Whatever is asked for, autocast has cuDNN's GRU compute in float16, in which most gradients vanish.
        with torch.autocast(inputs.device.type, enabled=False):
            states, _ = self.gru(inputs.float())
        return self.out(states)

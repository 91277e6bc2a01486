"""NextItNet: dilated causal convolutions over a user's past items (Yuan et al., WSDM 2019, https://arxiv.org/abs/1808.05163).

B users, T steps (oldest first, left-padded), D width.

The residual block is the paper's second kind: two convolutions, the second twice as far apart, each normalised and
rectified. As MicroLens runs it: dilations 1 and 4 in each of the settings' blocks, three steps a convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from benchmark.models.items import item_table
from benchmark.models.sequence import SequenceModel

if TYPE_CHECKING:
    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings

DILATIONS = (1, 4)
KERNEL = 3


def build(split: Split, settings: Settings, side: Side) -> SequenceModel:  # noqa: ARG001
    encoder = NextItNet(settings.width, blocks=settings.blocks, dropout=settings.dropout)
    return SequenceModel(item_table(split, settings), encoder)


class NextItNet(nn.Module):
    """Item vectors in, user states out."""

    def __init__(self, width: int, *, blocks: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(ResidualBlock(width, dilation) for _ in range(blocks) for dilation in DILATIONS)
        self.out = nn.Linear(width, width)

    def forward(self, vectors: Tensor, real: Tensor) -> Tensor:
        """Take item vectors (B, T, D) and which steps are real (B, T); return states (B, T, D)."""
        is_real = real[..., None]
        x = self.dropout(vectors)
        for block in self.blocks:
            x = block(x, is_real)
        return self.out(x)


class ResidualBlock(nn.Module):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.near, self.far = CausalConvolution(width, dilation), CausalConvolution(width, 2 * dilation)
        self.near_norm, self.far_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, is_real: Tensor) -> Tensor:
        """Take (B, T, D) and which steps are real (B, T, 1); return (B, T, D)."""
        # A norm's offset is not zero, so padding is made zero again before each look back.
        inner = self.near_norm(self.near(x * is_real)).relu()
        return x + self.far_norm(self.far(inner * is_real)).relu()


class CausalConvolution(nn.Module):
    """Of each step, those `dilation` and twice `dilation` before it: what lies before the first is zero.

    The steps side by side and one matrix: on a CPU several times faster than `nn.Conv1d`, and the same.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = nn.Linear(KERNEL * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, T, D); return (B, T, D)."""
        T, reach = x.shape[1], self.dilation * (KERNEL - 1)
        padded = pad(x, (0, 0, reach, 0))
        return self.taps(torch.cat([padded[:, start : start + T] for start in range(0, reach + 1, self.dilation)], -1))

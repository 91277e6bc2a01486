"""What attention models of sequences have in common: positions, a stack of blocks, a norm at the end.

B users, T steps (oldest first, left-padded), D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Stack(nn.Module):
    """Item vectors in, user states out; each block is told who may see whom."""

    def __init__(self, width: int, blocks: Iterable[nn.Module], *, steps: int, dropout: float) -> None:
        super().__init__()
        # Counted from the newest step, so padding shifts nothing. They start at zero: the steps that only a test
        # history reaches are never trained, and so add nothing.
        self.position = nn.Parameter(torch.zeros(steps, width))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor, real: Tensor) -> Tensor:
        """Take item vectors (B, T, D) and which steps are real (B, T); return states (B, T, D)."""
        mask = self.mask(real)
        x = self.dropout(vectors + self.position[-real.shape[1] :])
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

    def mask(self, real: Tensor) -> Tensor:
        """Tell who sees whom, of real steps (B, T): (B, 1, T, T); here, real steps that are not later."""
        T = real.shape[1]
        past = torch.ones(T, T, dtype=torch.bool, device=real.device).tril()
        return with_itself(past & real[:, None, :])


def require_shares(width: int, heads: int) -> None:
    """RecipeError if heads of attention cannot share a width out."""
    if width % heads:
        raise RecipeError(
            f"width={width} cannot be shared out among heads={heads} of attention",
            hint="choose a width that is a multiple of heads",
        )


def with_itself(sees: Tensor) -> Tensor:
    """Let every step see itself, too: a padded one sees nothing else, and softmax over nothing is NaN.

    (B, T, T) to (B, 1, T, T), for all heads.
    """
    return (sees | torch.eye(sees.shape[-1], dtype=torch.bool, device=sees.device))[:, None]

"""Fully connected layers with ReLU and dropout between them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class MLP(nn.Sequential):
    """`torch.compile` leaves calls of torch's own classes as they are: this one has a `forward` that is ours."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)  # type: ignore[no-untyped-call]


def mlp(widths: list[int], dropout: float) -> MLP:
    """Linear layers from `widths[0]` numbers to `widths[-1]`; the last one is bare."""
    layers: list[nn.Module] = []
    for width, next_width in pairwise(widths):
        layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
    return MLP(*layers[:-2])

"""Fully connected layers with ReLU and dropout between them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def mlp(widths: list[int], dropout: float) -> nn.Sequential:
    """Linear layers from `widths[0]` numbers to `widths[-1]`; the last one is bare."""
    layers: list[nn.Module] = []
    for width, next_width in pairwise(widths):
        layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])

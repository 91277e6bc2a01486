"""Tables of learned vectors."""

from __future__ import annotations

import torch
from torch import nn


def new_table(rows: int, width: int, *, padding: int | None = None, length: float = 1.0) -> nn.Embedding:
    """Make random vectors of about this length; the padding row is zero and stays so."""
    table = nn.Embedding(rows, width, padding_idx=padding)
    nn.init.normal_(table.weight, std=length * width**-0.5)
    if padding is not None:
        with torch.no_grad():
            table.weight[padding] = 0
    return table

"""Lists of different lengths in one tensor, one after the other: compressed sparse rows.

R rows, N values of all of them, Q rows asked for, n values of those.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lists:
    values: Tensor  # (N,)
    bounds: Tensor  # (R + 1,) where a row's values begin, and at last where all end

    def counts(self, rows: Tensor) -> Tensor:
        """How many values each of rows (Q,) has: (Q,)."""
        return self.bounds[rows + 1] - self.bounds[rows]

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """List the values of rows (Q,), one after the other: each value's place among the rows (n,), and it (n,)."""
        counts = self.counts(rows)
        place = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), counts)
        first = (self.bounds[rows] - (counts.cumsum(0) - counts))[place]
        return place, self.values[first + torch.arange(len(place), device=rows.device)]

    def only(self, rows: Tensor) -> Lists:
        """Make lists of rows (Q,) alone."""
        ends = self.counts(rows).cumsum(0)
        return Lists(self.of(rows)[1], torch.cat([ends.new_zeros(1), ends]))

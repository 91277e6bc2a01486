"""Who met which item in training, each pair once: a sparse table of users and items, row by row.

U users, V items with padding, E pairs, N asked, K drawn, C candidate items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from benchmark.data.lists import Lists


@dataclass(frozen=True)
class Met:
    user: Tensor  # (E,) ascending
    item: Tensor  # (E,) ascending within a user
    bounds: Tensor  # (U + 1,) where a user's pairs begin, and at last where all end
    item_count: int

    @classmethod
    def of_pairs(cls, pairs: Tensor, user_count: int, item_count: int) -> Met:
        """Sort user and item of training (N, 2); whoever met an item twice has met it."""
        keys = torch.unique(pairs[:, 0] * (item_count + 1) + pairs[:, 1])
        user = keys.div(item_count + 1, rounding_mode="floor")
        return cls(user, keys % (item_count + 1), _bounds(user, user_count), item_count)

    @property
    def user_count(self) -> int:
        return len(self.bounds) - 1

    @property
    def items(self) -> Lists:
        """What each user met."""
        return Lists(self.item, self.bounds)

    def among(self, users: Tensor, items: Tensor) -> Tensor:
        """Tell which of candidate items (C,), each there once, each of users (N,) met: bool (N, C)."""
        column = torch.full((self.item_count + 1,), -1, device=items.device)
        column[items] = torch.arange(len(items), device=items.device)
        row, met = self.items.of(users)
        place = column[met]
        found = torch.zeros(len(users), len(items), dtype=torch.bool, device=items.device)
        found[row[place >= 0], place[place >= 0]] = True
        return found

    def unmet(self, users: Tensor, k: int, draws: torch.Generator) -> Tensor:
        """Draw `k` items for each of users (N,), uniformly among those not met: (N, K).

        One draw is enough: the r-th unmet item is r and as many more as the user met below it. Users must not have met
        everything.
        """
        free = (self.item_count - self.items.counts(users))[:, None]
        chance = torch.rand(len(users), k, dtype=torch.float64, device=users.device, generator=draws)
        r = 1 + (chance * free).long().minimum(free - 1)
        asked = users[:, None] * (self.item_count + 1) + r
        return r + torch.searchsorted(self._unmet_before, asked, right=True) - self.bounds[users][:, None]

    @cached_property
    def _unmet_before(self) -> Tensor:
        """Of each pair, which unmet item of the user comes next: ascending within a user, and keyed by user: (E,)."""
        place = torch.arange(len(self.item), device=self.item.device) - self.bounds[self.user]
        return self.user * (self.item_count + 1) + self.item - place

    @cached_property
    def by_item(self) -> tuple[Tensor, Tensor]:
        """Sort the pairs by item: which pair comes where (E,), and where an item's begin (V + 1,)."""
        order = torch.argsort(self.item, stable=True)
        return order, _bounds(self.item[order], self.item_count + 1)


def _bounds(rows: Tensor, count: int) -> Tensor:
    """Where each of `count` rows begins in ascending `rows`, and at last where all end: (count + 1,)."""
    return torch.searchsorted(rows, torch.arange(count + 1, device=rows.device))

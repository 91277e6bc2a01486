"""Leave one out by time: a user's last item is the test, the last but one validation, the rest training.

U users, T steps (oldest first, left-padded with item 0), N interactions, B users of a batch, V items with padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from microlens.errors import NotReadyError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.data.release import Interactions

SHORTEST = 3  # one item to learn from, one for validation, one for the test


@dataclass(frozen=True)
class History:
    """What every user met up to some day: their whole history, beyond the steps that a model is given."""

    items: Tensor  # (N,) all users' items, one user after the other, oldest first
    starts: Tensor  # (U,) where a user begins in `items`
    lengths: Tensor  # (U,) how many of them lie before that day

    def mask(self, users: slice, width: int) -> Tensor:
        """Tell which of `width` items each of these users has met: bool (B, V)."""
        lengths, starts = self.lengths[users], self.starts[users]
        row = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
        within = torch.arange(len(row), device=row.device) - (lengths.cumsum(0) - lengths)[row]
        seen = torch.zeros(len(lengths), width, dtype=torch.bool, device=lengths.device)
        seen[row, self.items[starts[row] + within]] = True
        return seen


@dataclass(frozen=True)
class Question:
    """What an evaluation asks: which item came after these."""

    history: Tensor  # (U, T) the most recent items, what a model is given
    target: Tensor  # (U,) the item that came next
    seen: History  # the whole history, which is never recommended again


@dataclass(frozen=True)
class Split:
    """Everyone's last items on one device; batches are drawn from it by index."""

    kept: Tensor  # (U, T) the last items of each user, test item last
    items: Tensor  # (N,) as in History
    starts: Tensor  # (U,)
    lengths: Tensor  # (U,) with validation and test
    item_count: int
    skipped_user_count: int
    """Users with fewer than three interactions: neither trained on nor asked about."""

    @property
    def train(self) -> Tensor:
        """Training items (U, T - 2)."""
        return self.kept[:, :-2]

    @property
    def frequency(self) -> Tensor:
        """How often each item occurs in training: (V,), padding never."""
        return count_items(self.train, self.item_count)

    @property
    def validation(self) -> Question:
        return Question(self.train, self.kept[:, -2], History(self.items, self.starts, self.lengths - 2))

    @property
    def test(self) -> Question:
        return Question(self.kept[:, :-1], self.kept[:, -1], History(self.items, self.starts, self.lengths - 1))


def count_items(sequences: Tensor, item_count: int) -> Tensor:
    """Count each item of (U, T), padding never: (V,)."""
    counts = torch.bincount(sequences.flatten(), minlength=item_count + 1)
    counts[0] = 0
    return counts


def leave_one_out(interactions: Interactions, *, keep: int = 13, device: torch.device | str = "cpu") -> Split:
    """Split every user who has at least three interactions; `keep` counts validation and test in."""
    order = np.lexsort((interactions.position, interactions.user))
    user, item = interactions.user[order], interactions.item[order]
    _, user_counts = np.unique(user, return_counts=True)
    is_long = user_counts >= SHORTEST
    item, counts = item[np.repeat(is_long, user_counts)], user_counts[is_long]
    if not len(counts):
        raise NotReadyError(
            f"none of the {len(user_counts)} users of {interactions.name} has {SHORTEST} interactions or more",
            hint="a benchmark needs longer histories: collect more, or lower the release's `min_user` in the recipe",
        )
    starts = np.cumsum(counts) - counts
    kept, items, begin, lengths = (
        torch.from_numpy(values).to(device) for values in (_last(item, counts, starts, keep), item, starts, counts)
    )
    return Split(kept, items, begin, lengths, interactions.item_count, int((~is_long).sum()))


def _last(
    item: NDArray[np.int64], counts: NDArray[np.int64], starts: NDArray[np.int64], keep: int
) -> NDArray[np.int64]:
    """Lay the last `keep` items of each user to the right of a row: (U, T)."""
    table = np.zeros((len(counts), keep), dtype=np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    back = (starts + counts)[row] - np.arange(len(item))  # 1 for the last item
    is_kept = back <= keep
    table[row[is_kept], keep - back[is_kept]] = item[is_kept]
    return table

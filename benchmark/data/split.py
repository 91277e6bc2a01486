"""What is trained on and what is asked: splits of everyone's sequences, on one device.

U users, T steps (oldest first, left-padded with item 0), N interactions, Q questions, B of a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.data.lists import Lists
from benchmark.data.met import Met
from microlens.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from benchmark.data.release import Interactions

SHORTEST = 3  # one item to learn from, one for validation, one for the test


@dataclass(frozen=True)
class Question:
    """What an evaluation asks: which item came after these."""

    users: Tensor  # (Q,) who, from 0
    history: Tensor  # (Q, T) the most recent items, what a sequence model is given
    target: Tensor  # (Q,) the item that came next
    seen: Lists
    """What each user is not recommended again: all items of the history, each once, the target left out."""
    item_count: int

    def drawn(self, count: int, seed: int) -> Question:
        """So many of the questions, drawn at random; all of them if there are no more."""
        if count >= len(self.users):
            return self
        order = torch.randperm(len(self.users), generator=torch.Generator().manual_seed(seed))
        rows = order[:count].sort().values.to(self.users.device)
        seen = self.seen.only(rows)
        return Question(self.users[rows], self.history[rows], self.target[rows], seen, self.item_count)


@dataclass(frozen=True)
class Split:
    """What is trained on, and what validation and test ask: by one protocol, on one device.

    U users, T steps, N training interactions, Q test questions, V items with padding.
    """

    train: Tensor  # (U, T) each user's last training items
    pairs: Tensor  # (N, 2) user and item of every training interaction, beyond those steps too
    validation: Question
    test: Question
    item_count: int
    user_ids: NDArray[np.int64]  # (U,) as the release has them
    skipped_user_count: int
    """Users neither trained on nor asked about."""
    rule: str
    """How it was split, in words."""
    why_skipped: str = f"fewer than {SHORTEST} interactions"
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What else is not asked about, and how much of it."""

    @property
    def user_count(self) -> int:
        return len(self.train)

    @property
    def met(self) -> Met:
        """Who met which item in training; worked out for each that asks, and gone with it."""
        return Met.of_pairs(self.pairs, self.user_count, self.item_count)

    @property
    def device(self) -> torch.device:
        return self.train.device

    @property
    def frequency(self) -> Tensor:
        """How often each item occurs in the steps that are trained on: (V,), padding never."""
        return count_items(self.train, self.item_count)

    @property
    def target_counts(self) -> Tensor:
        """How often each test target was met in training, in all of it: (Q,)."""
        return count_items(self.pairs[:, 1], self.item_count)[self.test.target]


def count_items(sequences: Tensor, item_count: int) -> Tensor:
    """Count each item of (U, T) or (N,), padding never: (V,)."""
    counts = torch.bincount(sequences.flatten(), minlength=item_count + 1)
    counts[0] = 0
    return counts


def each_once(rows: Tensor) -> Tensor:
    """Sort rows (B, T), and put padding for what stands in a row already."""
    ordered = rows.sort(dim=1).values
    repeated = torch.zeros_like(ordered, dtype=torch.bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return ordered.masked_fill(repeated, 0)


def leave_one_out(interactions: Interactions, *, keep: int = 13, device: torch.device | str = "cpu") -> Split:
    """A user's last item is the test, the last but one validation, the rest training.

    Users of fewer than three interactions are left out; `keep` counts validation and test in. NotReadyError if nobody
    has as many.
    """
    item, counts, user_ids, skipped = _sequences(interactions)
    items = interactions.item_count
    users = torch.arange(len(counts), device=device)
    kept = torch.from_numpy(last_items(item, counts, keep)).to(device)
    return Split(
        train=kept[:, :-2],
        pairs=torch.from_numpy(first_pairs(item, counts, counts - 2)).to(device),
        validation=Question(users, kept[:, :-2], kept[:, -2], seen_of(item, counts, counts - 2, kept[:, -2]), items),
        test=Question(users, kept[:, :-1], kept[:, -1], seen_of(item, counts, counts - 1, kept[:, -1]), items),
        item_count=items,
        user_ids=user_ids,
        skipped_user_count=skipped,
        rule="leave-one-out by time: a user's last item is the test, the last but one validation",
    )


def _sequences(
    interactions: Interactions,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Items of the users who are long enough, one after the other, oldest first; how many of each; who; left out."""
    order = np.lexsort((interactions.position, interactions.user))
    user, item = interactions.user[order], interactions.item[order]
    user_ids, counts = np.unique(user, return_counts=True)
    is_long = counts >= SHORTEST
    if not is_long.any():
        raise NotReadyError(
            f"none of the {len(counts)} users of {interactions.name} has {SHORTEST} interactions or more",
            hint="a benchmark needs longer histories: collect more, or lower the release's `min_user` in the recipe",
        )
    return item[np.repeat(is_long, counts)], counts[is_long], user_ids[is_long], int((~is_long).sum())


def last_items(item: NDArray[np.int64], counts: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """Lay the last `keep` items of each user to the right of a row: (U, T)."""
    table = np.zeros((len(counts), keep), dtype=np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    back = np.cumsum(counts)[row] - np.arange(len(item))  # 1 for the last item
    is_kept = back <= keep
    table[row[is_kept], keep - back[is_kept]] = item[is_kept]
    return table


def first_pairs(item: NDArray[np.int64], counts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """User and item of the first so many interactions of each: (N, 2)."""
    row = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(item)) - (np.cumsum(counts) - counts)[row]
    is_in = place < lengths[row]
    return np.column_stack([row[is_in], item[is_in]])


def seen_of(item: NDArray[np.int64], counts: NDArray[np.int64], lengths: NDArray[np.int64], target: Tensor) -> Lists:
    """List what each user met in the first `lengths` (U,) of their `counts` (U,) interactions, but for `target` (U,).

    `item` (N,) are all users' items, one user after the other, oldest first.
    """
    pairs = first_pairs(item, counts, lengths)
    pairs = pairs[pairs[:, 1] != target.cpu().numpy()[pairs[:, 0]]]  # a target met before still competes
    return _each_once(pairs, len(counts), target.device)


def whole_histories(
    interactions: Interactions, user_ids: NDArray[np.int64], *, steps: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Lists]:
    """All that there is of some users (U,), whose ids ascend: each one's last `steps` items (U, T), and all items."""
    is_asked = np.isin(interactions.user, user_ids)
    user, item, position = (one[is_asked] for one in (interactions.user, interactions.item, interactions.position))
    item, (_, counts) = item[np.lexsort((position, user))], np.unique(user, return_counts=True)
    history = torch.from_numpy(last_items(item, counts, steps)).to(device)
    return history, _each_once(first_pairs(item, counts, counts), len(counts), history.device)


def _each_once(pairs: NDArray[np.int64], user_count: int, device: torch.device) -> Lists:
    """Items of each user, ascending, in the 4 bytes that an id takes: of user and item (N, 2)."""
    met = Met.of_pairs(torch.from_numpy(pairs).to(device), user_count, int(pairs[:, 1].max(initial=0)))
    return Lists(met.item.int(), met.bounds)

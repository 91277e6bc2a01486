"""Warm items: those with few interactions are removed before anything is split (Tables 8 and 10 of the paper).

Counts are those of the whole release, and are taken once: what is left may have fewer, since no user is removed for it.

N items, W of them warm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.data.split import SHORTEST
from microlens.errors import NotReadyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmark.data.release import Interactions


def warm_items(interactions: Interactions, fewest: int) -> NDArray[np.int64]:
    """Items with `fewest` interactions or more, ascending: (W,). NotReadyError if there are none."""
    counts = np.bincount(interactions.item, minlength=interactions.item_count + 1)
    warm = 1 + np.flatnonzero(counts[1:] >= max(fewest, 1))
    if not len(warm):
        raise NotReadyError(
            f"no item of {interactions.name} has {fewest} interactions: the most popular one has {counts.max()}",
            hint=f"choose --warm {counts.max()} or fewer, or a larger release",
        )
    return warm


def only_items(interactions: Interactions, items: NDArray[np.int64]) -> Interactions:
    """Keep the interactions with some items (W,), which are numbered anew from 1, in the same order.

    `left_out` counts what went, with the users of whom nothing is left, and those who were long enough to be split and
    no longer are.
    """
    is_kept = np.isin(interactions.item, items)
    _, user = np.unique(interactions.user, return_inverse=True)
    before, after = np.bincount(user), np.bincount(user[is_kept], minlength=int(user.max()) + 1)
    return replace(
        interactions,
        item_ids=interactions.item_ids[items - 1],
        user=interactions.user[is_kept],
        item=1 + np.searchsorted(items, interactions.item[is_kept]),
        position=interactions.position[is_kept],
        timestamp_ms=None if interactions.timestamp_ms is None else interactions.timestamp_ms[is_kept],
        left_out={
            "items_removed": interactions.item_count - len(items),
            "interactions_removed": int((~is_kept).sum()),
            "users_removed": int((after == 0).sum()),
            "users_become_too_short": int(((before >= SHORTEST) & (after > 0) & (after < SHORTEST)).sum()),
        },
    )

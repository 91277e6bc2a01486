"""Interactions of any size, as models of sequences take them."""

from __future__ import annotations

import numpy as np

from benchmark.data.release import Interactions

_MEAN_LENGTH, _ZIPF = 9.1, 0.8  # MicroLens-1M's, and about the slope of its popularity


def made_interactions(users: int, items: int) -> Interactions:
    """Deal items out to users by a Zipf law, at random: three each, or more."""
    rng = np.random.default_rng(0)
    lengths = 3 + rng.poisson(_MEAN_LENGTH - 3, users)
    reached = np.cumsum(np.arange(1, items + 1) ** -_ZIPF)
    item = np.searchsorted(reached, rng.random(lengths.sum()) * reached[-1]) + 1
    user = np.repeat(np.arange(1, users + 1), lengths)
    return Interactions("made", np.arange(1, items + 1), user, item, np.arange(len(user)))

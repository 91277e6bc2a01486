"""How good two models are at cold items and at popular ones (Figure 6 of the MicroLens paper).

Users are grouped by their target: how often it was met in training. The paper draws groups by "popularity level" and
does not tell their edges. Ours are fixed counts, so that a group means the same on any release; 0 is an item that
training never saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES = (0, 1, 5, 10, 20, 50, 100, 200)
"""The lowest count of each group; the last has no end."""


@dataclass(frozen=True)
class Group:
    name: str
    """The counts that are in it: `0`, `1-4`, `200+`."""
    users: int
    a: float
    """HR@10 of the first model; `a_error` and `b_error` are standard errors over the users."""
    a_error: float
    b: float
    b_error: float
    improvement: float | None
    """b / a - 1; None where the first model hits nothing."""
    improvement_error: float | None
    """Its standard error over the users, by the delta method; both models were asked about the same ones."""


def by_popularity(count: NDArray[np.int64], a: NDArray[np.float64], b: NDArray[np.float64]) -> list[Group]:
    """Compare two models' hits (U,) by the training count of each user's target (U,); empty groups are left out."""
    place = np.searchsorted(EDGES, count, side="right") - 1
    names = group_names()
    return [_group(names[i], a[place == i], b[place == i]) for i in range(len(EDGES)) if (place == i).any()]


def group_names() -> list[str]:
    ends = [f"{low}-{high - 1}" if high - 1 > low else f"{low}" for low, high in pairwise(EDGES)]
    return [*ends, f"{EDGES[-1]}+"]


def _group(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> Group:
    users, mean_a, mean_b = len(a), float(a.mean()), float(b.mean())
    ratio = mean_b / mean_a if mean_a > 0 else None
    # Var(b / a) is that of b - ratio * a, over a squared, to first order.
    error = None if ratio is None else _standard_error(b - ratio * a) / mean_a
    return Group(
        name=name,
        users=users,
        a=mean_a,
        a_error=_standard_error(a),
        b=mean_b,
        b_error=_standard_error(b),
        improvement=None if ratio is None else ratio - 1,
        improvement_error=error,
    )


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std()) / math.sqrt(len(values))

"""The shape of a release, in the numbers that tell a subset of MicroLens from a plain sample of users.

U users, V items, N pairs (one a user and item).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Ids = NDArray[np.int32]

TAIL_FROM = 5
"""Shortest sequence of the fitted tail: the published subsets have no shorter ones."""
LONG = 13
"""Longest sequence that the original's models see whole."""
CORE = 5
_STEEPEST = 100.0
_TERMS = 1_000

PUBLISHED: dict[str, dict[str, float]] = {
    "MicroLens-50K": {"users": 50_000, "items": 19_220, "interactions": 359_708},
    "MicroLens-100K": {
        "users": 100_000,
        "items": 19_738,
        "interactions": 719_405,
        "share_to_13": 0.949,
        "tail_exponent": 3.72,
        "items_under_5": 0.127,
        "core_users": 98_129,
        "core_items": 17_228,
        "core_interactions": 705_174,
    },
    "MicroLens-1M": {"users": 1_000_000, "items": 91_402, "interactions": 9_095_620, "core_users": 998_842},
    "MicroLens": {"users": 34_492_051, "items": 1_142_528, "interactions": 1_006_528_709},
}
"""What is known of the published datasets; docs/subsets.md tells from where."""

_ROWS = (
    ("users", "users", "{:,.0f}"),
    ("items", "items", "{:,.0f}"),
    ("interactions", "interactions", "{:,.0f}"),
    ("sparsity", "sparsity", "{:.3%}"),
    ("mean_length", "mean interactions a user", "{:.3f}"),
    ("share_to_13", f"share of users with {LONG} or fewer", "{:.3f}"),
    ("tail_exponent", f"tail exponent, from {TAIL_FROM}", "{:.2f}"),
    ("gini", "Gini of item popularity", "{:.3f}"),
    ("items_under_5", f"share of items with fewer than {CORE}", "{:.3f}"),
    ("users_in_core", f"users left in a {CORE}-core", "{:.2%}"),
    ("items_in_core", f"items left in a {CORE}-core", "{:.2%}"),
    ("interactions_in_core", f"interactions left in a {CORE}-core", "{:.2%}"),
)


def shape_of(interactions: Path) -> dict[str, Any]:
    """Measure a table with the columns user_id and item_id; None stands for what too few rows do not tell."""
    table = pq.read_table(interactions, columns=["user_id", "item_id"])
    if table.num_rows == 0:
        return {}
    users, items = (table[name].to_numpy() for name in ("user_id", "item_id"))
    lengths, popularity = _counted(users), _counted(items)
    kept = core(users, items, CORE)
    counts = {
        "users": lengths.size,
        "items": popularity.size,
        "interactions": users.size,
        "core_users": _counted(users[kept]).size,
        "core_items": _counted(items[kept]).size,
        "core_interactions": int(kept.sum()),
    }
    return _with_shares(
        counts
        | {
            "share_to_13": _rounded(float((lengths <= LONG).mean())),
            "tail_exponent": _rounded(tail_exponent(lengths)),
            "gini": _rounded(gini(popularity)),
            "items_under_5": _rounded(float((popularity < CORE).mean())),
        }
    )


def nearest_published(users: int) -> str:
    """The published dataset whose number of users is nearest, by ratio."""
    return min(PUBLISHED, key=lambda name: abs(math.log(max(users, 1) / PUBLISHED[name]["users"])))


def published_beside(shape: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the published dataset that a shape is best compared with, by the names that a shape has."""
    name = nearest_published(shape.get("users", 0))
    return {"name": name, **_with_shares(PUBLISHED[name])}


def comparison(name: str, shape: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Lines of a table: what, of this release, of the nearest published dataset; `-` is not known."""
    told = published_beside(shape)
    yield "", name, told["name"]
    for key, words, form in _ROWS:
        yield words, _shown(shape.get(key), form), _shown(told.get(key), form)


def tail_exponent(lengths: Counts) -> float | None:
    """Exponent of a discrete power law P(n) ~ n^-a of the sequences of TAIL_FROM or more, by maximum likelihood.

    The exact estimate, found where the mean of ln n is that of the law (Clauset, Shalizi and Newman, SIAM Review 51,
    2009, eq. 3.5), not its approximation, poor below 6. None if no sequence is longer than the shortest, or
    hardly any is: there is no tail.
    """
    tail = lengths[lengths >= TAIL_FROM]
    if tail.size == 0:
        return None
    wanted = float(np.log(tail).mean())
    low, high = 1.0 + 1e-6, _STEEPEST
    if wanted <= _mean_log(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean_log(middle) > wanted else (low, middle)
    return middle


def gini(counts: Counts) -> float:
    """Gini coefficient of counts that are not all 0: 0 if all are equal, towards 1 if one has everything."""
    ranked = np.sort(counts)
    ranks = np.arange(1, ranked.size + 1)
    return float((2 * ranks - ranked.size - 1) @ ranked / (ranked.size * ranked.sum()))


def core(users: Ids, items: Ids, least: int) -> NDArray[np.bool_]:
    """Which of N pairs, by user (N,) and item (N,), are left once each user and item has `least` of them."""
    kept = np.ones(users.size, dtype=np.bool_)
    while True:
        left = kept.copy()
        for ids in (users, items):
            counts = np.bincount(ids[kept], minlength=int(ids.max(initial=0)) + 1)
            left &= counts[ids] >= least
        if left.sum() == kept.sum():
            return left
        kept = left


def _mean_log(exponent: float) -> float:
    """Mean of ln n under the power law from TAIL_FROM: -zeta'/zeta, by Euler and Maclaurin."""
    n = np.arange(TAIL_FROM, TAIL_FROM + _TERMS, dtype=np.float64)
    at, log = float(TAIL_FROM + _TERMS), math.log(TAIL_FROM + _TERMS)
    power = (n / TAIL_FROM) ** -exponent  # scaled, for a steep law's terms vanish
    last = (at / TAIL_FROM) ** -exponent
    past = at / (exponent - 1)
    total = float(power.sum()) + last * (past + 0.5 + exponent / (12 * at))
    weighted = float(power @ np.log(n))
    weighted += last * (past * (log + 1 / (exponent - 1)) + 0.5 * log + (exponent * log - 1) / (12 * at))
    return float(weighted / total)


def _counted(ids: Ids) -> Counts:
    """How often each id stands there, holes left out."""
    counts = np.bincount(ids)
    return counts[counts > 0]


def _with_shares(counts: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from counts: each is there only if its parts are."""
    users, items, interactions = (counts[name] for name in ("users", "items", "interactions"))
    shares = {
        "sparsity": _rounded(1 - interactions / (users * items)),
        "mean_length": _rounded(interactions / users),
    }
    for name in ("users", "items", "interactions"):
        if f"core_{name}" in counts:
            shares[f"{name}_in_core"] = _rounded(counts[f"core_{name}"] / counts[name])
    return {**counts, **shares}


def _rounded(value: float | None) -> float | None:
    return round(value, 6) if value is not None else None


def _shown(value: float | None, form: str) -> str:
    return form.format(value) if value is not None else "-"

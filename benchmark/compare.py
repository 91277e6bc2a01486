"""Is one model better than another? A paired bootstrap over the users of a test (Efron & Tibshirani, 1993, chapter 13).

Both models were asked about the same users, so what is resampled is a user with both answers; with several seeds a
user's answer is the mean over them. An interval tells how the difference would stray with other users like these; how
it strays with other seeds is the deviation in the leaderboard.

U users, M metrics, R resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.groups import Group, by_popularity
from benchmark.metrics import hit_rate, ndcg
from benchmark.read_results import Result, UserRanks, mean_by_user, read_result
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = {"hr@10": (hit_rate, 10), "ndcg@10": (ndcg, 10)}
RESAMPLES = 10_000
LEVEL = 0.95
_CHUNK = 4_000_000  # counts drawn at once: 32 MB


@dataclass(frozen=True)
class Difference:
    """Of B to A: above zero, B is better."""

    metric: str
    a: float
    b: float
    low: float
    high: float
    """The interval that holds 95 of 100 resamples' differences."""

    @property
    def mean(self) -> float:
        return self.b - self.a

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    a: str
    b: str
    users: int
    seeds: tuple[int, int]
    resamples: int
    differences: list[Difference]
    groups: list[Group]
    """By how often the target was met in training; `benchmark.groups`."""


def compare(a: tuple[Result, str], b: tuple[Result, str], *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare one model of a result with one of another, or of the same.

    RecipeError, with what differs, for results of other releases, protocols or users: their numbers do not compare.
    """
    _check_alike(a[0], b[0])
    first, second = a[0].ranks(a[1]), b[0].ranks(b[1])
    _check_users(first + second, (a, b))
    values = [[mean_by_user(one, *METRICS[name]) for name in METRICS] for one in (first, second)]
    difference = np.column_stack(values[1]) - np.column_stack(values[0])  # (U, M)
    intervals = bootstrap(difference, resamples=resamples, seed=seed)
    return Comparison(
        a=f"{a[0].folder}:{a[1]}",
        b=f"{b[0].folder}:{b[1]}",
        users=len(difference),
        seeds=(len(first), len(second)),
        resamples=resamples,
        differences=[
            Difference(name, float(values[0][m].mean()), float(values[1][m].mean()), *map(float, intervals[m]))
            for m, name in enumerate(METRICS)
        ],
        groups=by_popularity(first[0].target_count, values[0][0], values[1][0]),
    )


def named_pairs(first: str, second: str) -> list[tuple[tuple[Result, str], tuple[Result, str]]]:
    """Read `FOLDER` or `FOLDER:MODEL`, twice: which model of the one is compared with which of the other.

    A model that one side alone names is compared with the same of the other; where none is, all that both have are.
    """
    (a, model_a), (b, model_b) = (_named(text) for text in (first, second))
    if model_a or model_b:
        model_a, model_b = model_a or model_b, model_b or model_a
        return [((a, a.row(str(model_a))["model"]), (b, b.row(str(model_b))["model"]))]
    if a.folder.resolve() == b.folder.resolve():
        raise RecipeError(
            f"{first} is compared with itself", hint=f"name two of its models, as {first}:popularity {second}:sasrec"
        )
    common = [model for model in a.rows if model in b.rows]
    if not common:
        raise RecipeError(
            f"{first} has {', '.join(a.rows)}, {second} has {', '.join(b.rows)}: no model is in both",
            hint=f"name one of each, as {first}:{next(iter(a.rows))} {second}:{next(iter(b.rows))}",
        )
    return [((a, model), (b, model)) for model in common]


def _named(text: str) -> tuple[Result, str | None]:
    folder, colon, model = text.rpartition(":")
    if Path(text).exists() or not colon:
        return read_result(Path(text)), None
    return read_result(Path(folder)), model


def bootstrap(difference: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """The percentile interval of the mean of paired differences (U, M), M of them at once: (M, 2).

    U users drawn with replacement are a multinomial draw over the distinct differences, of which there are few: most
    users' targets are in neither list, and then they do not differ.
    """
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(difference, axis=0, return_counts=True)
    users, chunk = len(difference), max(1, _CHUNK // len(distinct))
    means = [
        rng.multinomial(users, counts / users, size=min(chunk, resamples - start)) @ distinct / users
        for start in range(0, resamples, chunk)
    ]
    outside = (1 - LEVEL) / 2
    interval: NDArray[np.float64] = np.quantile(np.concatenate(means), [outside, 1 - outside], axis=0).T
    return interval


def _check_alike(a: Result, b: Result) -> None:
    if a.data != b.data:
        raise RecipeError(
            f"{a.folder} and {b.folder} do not compare: their release is {a.release} ({a.data[:12]}) and {b.release} "
            f"({b.data[:12]})",
            hint="run both on the same release",
        )
    for what, one, other in _protocols(a, b):
        if one != other:
            raise RecipeError(
                f"{a.folder} and {b.folder} do not compare: their {what} is {one} and {other}",
                hint="run both with the same --split, --cuts and --warm",
            )


def _protocols(a: Result, b: Result) -> list[tuple[str, Any, Any]]:
    names = ("asked", "split", "warm", "cuts", "ranking", "items", "users")
    return [(name, a.protocol.get(name), b.protocol.get(name)) for name in names]


def _check_users(seeds: list[UserRanks], named: tuple[tuple[Result, str], tuple[Result, str]]) -> None:
    for one in seeds[1:]:
        if not np.array_equal(seeds[0].user_id, one.user_id):
            others = len(np.setxor1d(seeds[0].user_id, one.user_id))
            (a, first), (b, second) = named
            raise RecipeError(
                f"{a.folder}:{first} and {b.folder}:{second} do not compare: {others:,} users were asked about in one "
                "and not in the other",
                hint="run both again on the same release; ranks of an older run may lie among them",
            )

"""What is told of a model: a result a seed, a row over its seeds, and where every user's test item stood."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np

from microlens.whole_files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmark.metrics import Ranks
    from benchmark.train import Fit

OF_A_SEED = ("seed", "curves", "checkpoint", "ranks")


def row_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put one model's results, one per seed, in a row: numbers as means, `deviation` of each that is a metric.

    The deviation is that of a sample (n - 1), and stands where there are two seeds or more.
    """
    row = {name: _mean([one[name] for one in results]) for name in results[0] if name not in OF_A_SEED}
    metrics = [name for name in row if "@" in name and not name.startswith("standard_error")]
    row["seeds"] = [one["seed"] for one in results]
    row["deviation"] = {name: statistics.stdev(one[name] for one in results) for name in metrics if len(results) > 1}
    shared = {name for name in row if not isinstance(row[name], int | float)}
    row["runs"] = [{name: value for name, value in one.items() if name not in shared} for one in results]
    return row


def fit_facts(fitted: Fit) -> dict[str, Any]:
    return {"epochs": fitted.epochs, "best_epoch": fitted.best_epoch, "curves": list(fitted.curves)}


def write_ranks(path: Path, user_ids: NDArray[np.int64], ranks: Ranks, target_count: NDArray[np.int64]) -> None:
    """Write `user_id` (the release's), `above` and `tied` of each, as `benchmark.metrics.Ranks` says: NumPy's .npz.

    `target_count` is how often the item that was asked for was met in training.

    Numbers alone: `np.load` needs no pickle. A reader sees an old file or a new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    above, tied = ranks.above.cpu().numpy(), ranks.tied.cpu().numpy()
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, user_id=user_ids, above=above, tied=tied, target_count=target_count)


def _mean(values: Sequence[Any]) -> Any:
    """What they all are, or the mean of what they are."""
    return values[0] if all(one == values[0] for one in values) else statistics.fmean(values)

"""Full ranking of SASRec beside a bare matmul and top-20 of the same states: what an evaluation costs beyond them.

MicroLens-50k's shape, or the release that MICROLENS_BENCH_RELEASE names. The floor is given its states; ours works
them out, masks histories, and counts who stands above each target. Nothing is trained: a model costs the same before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmark.data.release import load_release
from benchmark.data.side import Side
from benchmark.data.split import leave_one_out
from benchmark.evaluate import CHUNK_SCORES, evaluate
from benchmark.models import MODELS
from benchmark.models.sequence import SequenceModel
from benchmark.presets import load_preset
from benchmarks.made_interactions import made_interactions
from benchmarks.measure import timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benchmark.data.split import Question

ITEMS = 19_220  # of MicroLens-50k
RELEASE_VARIABLE = "MICROLENS_BENCH_RELEASE"
_GOAL = 2.0
_ROUNDS = 3


def run(users: int) -> Iterator[str]:
    """Rank all items for so many users; the cheapest of three rounds of each, one after the other."""
    release = os.environ.get(RELEASE_VARIABLE)
    interactions = load_release(Path(release)) if release else made_interactions(users, ITEMS)
    settings = load_preset("tuned", "sasrec", {})
    split = leave_one_out(interactions, keep=settings.keep_interactions)
    model = MODELS["sasrec"].build(split, settings, Side(None))
    assert isinstance(model, SequenceModel)
    model.eval()
    states, items = states_of(model, split.test), vectors_of(model, split.item_count)
    ours, floor = [], []
    for _ in range(_ROUNDS):
        ours.append(timed(lambda: evaluate(model, split.test)))
        floor.append(timed(lambda: bare(states, items)))
    least, least_bare = min(cpu for _, cpu in ours), min(cpu for _, cpu in floor)
    yield (
        f"SASRec, width {settings.width}, {len(split.test.users):,} users x {split.item_count:,} items, "
        f"{torch.get_num_threads()} threads"
    )
    yield f"  evaluation {least:.1f} CPU-s, {min(wall for wall, _ in ours):.1f} s"
    yield f"  matmul and top-20 alone {least_bare:.1f} CPU-s, {min(wall for wall, _ in floor):.1f} s"
    yield f"  {least / least_bare:.2f} times (goal {_GOAL:.0f})"


def states_of(model: SequenceModel, question: Question) -> Tensor:
    """What a model makes of everyone's history (U, T): (U, D)."""
    with torch.inference_mode():
        return torch.cat([model(history)[:, -1] for history in torch.split(question.history, 1_000)])


def vectors_of(model: SequenceModel, item_count: int) -> Tensor:
    """Give all items' vectors, and padding's: (V, D)."""
    with torch.inference_mode():
        vectors: Tensor = model.items(torch.arange(item_count + 1))
    return vectors


def bare(states: Tensor, items: Tensor) -> None:
    """Rank (U, D) and (V, D) without ranks: a matmul and the best 20, in chunks of an evaluation's size."""
    with torch.inference_mode():
        for some in torch.split(states, max(1, CHUNK_SCORES // len(items))):
            (some @ items.T).topk(20)

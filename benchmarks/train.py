"""SASRec on the shape of MicroLens-1M: what an epoch and an evaluation cost, by rows and with dense AdamW."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import torch

from benchmark.data.side import Side
from benchmark.data.split import leave_one_out
from benchmark.evaluate import evaluate
from benchmark.models import MODELS
from benchmark.models.sequence import SequenceModel
from benchmark.presets import load_preset
from benchmark.tasks.next_item import NextItem
from benchmark.train import Trainer
from benchmarks.made_interactions import made_interactions
from benchmarks.measure import cost_of, timed
from benchmarks.ranking import bare, states_of, vectors_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.data.split import Question, Split
    from benchmark.settings import Settings

ITEMS = 91_402  # of MicroLens-1M
_BATCH = 256
_WARM, _STEPS, _ASKED = 5, 60, 1_000


@dataclass(frozen=True)
class Measured:
    epoch_s: float
    epoch_cpu_s: float
    evaluation_s: float
    evaluation_cpu_s: float
    floor_s: float
    """The evaluation's matmul and top-20 alone."""
    made_mb: float
    """Peak before the first step."""


def run(items: int) -> Iterator[str]:
    """So many users; steps and questions are a sample, told for all."""
    threads = torch.get_num_threads()
    yield f"SASRec, width 64, last 13, batch {_BATCH:,}: {items:,} users x {ITEMS:,} items, {threads} threads"
    for row_wise in ("always", "never"):
        cost = cost_of(_train, items, row_wise)
        found: Measured = cost.value
        yield (
            f"  row_wise={row_wise:6} epoch {found.epoch_s / 60:6.2f} min ({found.epoch_cpu_s / 60:.2f} CPU-min), "
            f"peak {cost.peak_mb:,.0f} MB ({found.made_mb:,.0f} before the first step)"
        )
    yield (
        f"  evaluation       {found.evaluation_s / 60:6.2f} min ({found.evaluation_cpu_s / 60:.2f} CPU-min); "
        f"matmul and top-20 alone {found.floor_s / 60:.2f} min, ratio {found.evaluation_s / found.floor_s:.2f}"
    )


def _train(users: int, row_wise: str) -> Measured:
    split = leave_one_out(made_interactions(users, ITEMS))
    settings = load_preset("default", "sasrec", {"batch_size": _BATCH, "row_wise": row_wise})
    torch.manual_seed(0)
    model = MODELS["sasrec"].build(split, settings, Side(None))
    assert isinstance(model, SequenceModel)
    made_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    epoch = _epoch(model, split, settings)
    asked = _some(split.test)
    model.eval()
    evaluate(model, _some(split.test, 100))
    evaluation = timed(lambda: evaluate(model, asked))
    states, items = states_of(model, asked), vectors_of(model, split.item_count)
    floor_s, _ = timed(lambda: bare(states, items))
    share = len(split.test.users) / len(asked.users)
    return Measured(*epoch, evaluation[0] * share, evaluation[1] * share, floor_s * share, made_mb)


def _epoch(model: SequenceModel, split: Split, settings: Settings) -> tuple[float, float]:
    """Wall and CPU seconds of an epoch, from some steps of it."""
    trainer = Trainer(model, NextItem(model, split, settings), split.validation, settings, seed=0)
    batches = trainer.task.batches(torch.Generator().manual_seed(0))
    model.train()
    for batch in islice(batches, _WARM):
        trainer.step(batch)
    taken = list(islice(batches, _STEPS))
    wall_s, cpu_s = timed(lambda: [trainer.step(batch) for batch in taken])
    flush_s, flush_cpu_s = timed(trainer.optimizer.catch_up)
    share = split.user_count / sum(map(len, taken))
    return wall_s * share + flush_s, cpu_s * share + flush_cpu_s


def _some(question: Question, count: int = _ASKED) -> Question:
    """The first questions."""
    return replace(
        question, users=question.users[:count], history=question.history[:count], target=question.target[:count]
    )

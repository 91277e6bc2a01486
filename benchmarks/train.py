"""SASRec on the shape of MicroLens-1M: what an epoch and an evaluation cost, by rows and with dense AdamW."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmark.data.release import Interactions
from benchmark.data.split import leave_one_out
from benchmark.evaluate import CHUNK_SCORES, evaluate
from benchmark.models import MODELS
from benchmark.models.sequence import SequenceModel
from benchmark.settings import load_preset
from benchmark.tasks.next_item import NextItem
from benchmark.train import Trainer
from benchmarks.measure import cost_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmark.data.split import Question, Split
    from benchmark.settings import Settings

ITEMS = 91_402  # of MicroLens-1M, which has 9.1 interactions a user
_MEAN_LENGTH, _ZIPF = 9.1, 0.8
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
    split = leave_one_out(made_interactions(users))
    settings = load_preset("default", "sasrec", {"batch_size": _BATCH, "row_wise": row_wise})
    torch.manual_seed(0)
    model = MODELS["sasrec"].build(split, settings, None)  # type: ignore[arg-type] # it asks for nothing beside ids
    assert isinstance(model, SequenceModel)
    made_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    epoch = _epoch(model, split, settings)
    asked = _some(split.test)
    model.eval()
    evaluate(model, _some(split.test, 100))
    evaluation = _timed(lambda: evaluate(model, asked))
    floor_s, _ = _timed(lambda: _floor(model, asked))
    share = len(split.test.users) / len(asked.users)
    return Measured(*epoch, evaluation[0] * share, evaluation[1] * share, floor_s * share, made_mb)


def made_interactions(users: int) -> Interactions:
    """Deal items out to users by a Zipf law, at random."""
    rng = np.random.default_rng(0)
    lengths = 3 + rng.poisson(_MEAN_LENGTH - 3, users)
    reached = np.cumsum(np.arange(1, ITEMS + 1) ** -_ZIPF)
    item = np.searchsorted(reached, rng.random(lengths.sum()) * reached[-1]) + 1
    user = np.repeat(np.arange(1, users + 1), lengths)
    return Interactions("made", np.arange(1, ITEMS + 1), user, item, np.arange(len(user)))


def _epoch(model: SequenceModel, split: Split, settings: Settings) -> tuple[float, float]:
    """Wall and CPU seconds of an epoch, from some steps of it."""
    trainer = Trainer(model, NextItem(model, split, settings), split.validation, settings, seed=0)
    batches = trainer.task.batches(torch.Generator().manual_seed(0))
    model.train()
    for batch in islice(batches, _WARM):
        trainer.step(batch)
    taken = list(islice(batches, _STEPS))
    wall_s, cpu_s = _timed(lambda: [trainer.step(batch) for batch in taken])
    flush_s, flush_cpu_s = _timed(trainer.optimizer.catch_up)
    share = split.user_count / sum(map(len, taken))
    return wall_s * share + flush_s, cpu_s * share + flush_cpu_s


def _some(question: Question, count: int = _ASKED) -> Question:
    """The first questions."""
    return replace(
        question, users=question.users[:count], history=question.history[:count], target=question.target[:count]
    )


def _floor(model: SequenceModel, question: Question) -> None:
    """Rank without ranks: states, one matmul and the best 20, in chunks of the same size."""
    width = max(1, CHUNK_SCORES // (question.item_count + 1))
    with torch.inference_mode():
        for history in torch.split(question.history, width):
            states = model(history)[:, -1]
            (states @ model.items(torch.arange(question.item_count + 1)).T).topk(20)


def _timed(job: Callable[[], object]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - began, time.process_time() - cpu

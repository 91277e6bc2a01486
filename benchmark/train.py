"""Train a model on a task: AdamW, stopped early on validation NDCG@10, its best state restored.

A state is the weights after an epoch or, if the settings ask for it, their mean over the last epochs: what a constant
step size jumps about (Izmailov et al., UAI 2018, https://arxiv.org/abs/1803.05407; of the latest alone, as Kaddour,
2022, https://arxiv.org/abs/2209.14981). Training goes on from the weights as they are.

After every epoch what is needed to go on lies in a checkpoint, where one is given: a process that was killed goes on
with the epoch that it was in, to the same bits.
"""

from __future__ import annotations

import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.device import tf32
from benchmark.evaluate import evaluate
from benchmark.memory import names_what_to_lower
from benchmark.metrics import summarise
from benchmark.optimizer import Optimizer
from benchmark.parallel import rank, share, take_over_first, total, world
from benchmark.progress import counted, silent
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from benchmark.checkpoint import Checkpoint
    from benchmark.data.split import Question
    from benchmark.models.recommender import TrainableModel
    from benchmark.progress import Progress
    from benchmark.settings import Settings
    from benchmark.tasks import Task


class DivergedError(MicrolensError):
    """A loss is no longer a number."""


@dataclass(frozen=True)
class Fit:
    epochs: int
    best_epoch: int
    """0 where no epoch was better on validation than the model as it was built."""
    ndcg: float
    """Validation NDCG@10 of the best epoch."""
    curves: tuple[dict[str, float], ...] = ()
    """Of every epoch its loss, its validation metrics and its seconds."""
    seconds_before: float = 0.0
    """Of the epochs that were taken from a checkpoint."""


@dataclass
class _State:
    """Where training stands."""

    best_model: dict[str, Tensor]
    best_ndcg: float
    best_epoch: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)
    recent: list[dict[str, Tensor]] = field(default_factory=list)
    """The weights after the last epochs that are averaged, oldest first."""

    @property
    def epoch(self) -> int:
        return len(self.curves)


def fit(
    model: TrainableModel,
    task: Task,
    validation: Question,
    settings: Settings,
    *,
    seed: int,
    progress: Progress,
    checkpoint: Checkpoint | None = None,
    until: int | None = None,
) -> Fit:
    """Train `model` in place, from where `checkpoint` stands; `progress` hears of epochs, and of steps in long ones.

    Up to epoch `until`, where one is given: the next call goes on from there.
    """
    last = min(settings.epochs, until or settings.epochs)
    take_over_first(model.parameters())
    trainer = Trainer(model, task, validation, settings, seed, progress=progress)
    state = _resumed(trainer, checkpoint)
    seconds_before = sum(one["seconds"] for one in state.curves)
    while state.epoch < last and not is_over(state.epoch, state.best_epoch, settings):
        began, epoch = time.perf_counter(), state.epoch + 1
        loss = trainer.run_epoch(epoch)
        state.recent = [*state.recent, _copy(model)][-settings.average_epochs :]
        with _averaged(model, state.recent) as mean:
            metrics = trainer.validate()
        if metrics["ndcg@10"] > state.best_ndcg:
            state.best_model, state.best_ndcg, state.best_epoch = mean, metrics["ndcg@10"], epoch
        state.curves.append({"loss": loss, **metrics, "seconds": time.perf_counter() - began})
        if checkpoint is not None and rank() == 0:
            checkpoint.save(_saved(trainer, state))
        facts: dict[str, float] = {"epoch": epoch, "epochs": settings.epochs, "best_epoch": state.best_epoch}
        progress("epoch", facts | state.curves[-1])
    model.load_state_dict(state.best_model)
    model.eval()
    return Fit(state.epoch, state.best_epoch, state.best_ndcg, tuple(state.curves), seconds_before)


def is_over(epoch: int, best_epoch: int, settings: Settings) -> bool:
    """Whether training ends after `epoch`: it was the last one, or patience has run out."""
    return epoch >= settings.epochs or epoch - best_epoch >= settings.patience


def _resumed(trainer: Trainer, checkpoint: Checkpoint | None) -> _State:
    saved = checkpoint.load(trainer.device) if checkpoint is not None else None
    if saved is None:
        return _State(_copy(trainer.model), trainer.validate()["ndcg@10"])
    trainer.model.load_state_dict(saved["recent"][-1])
    trainer.optimizer.load_state_dict(saved["optimizer"])
    return _State(**{one.name: saved[one.name] for one in fields(_State)})


def _saved(trainer: Trainer, state: _State) -> dict[str, Any]:
    """What to go on from; torch writes what is one tensor once, as the best weights and the last may be."""
    learned = {one.name: getattr(state, one.name) for one in fields(_State)}
    return learned | {"optimizer": trainer.optimizer.state_dict()}


class Trainer:
    """One epoch of training, one validation; `progress` hears of steps within them, if they take long."""

    def __init__(
        self,
        model: TrainableModel,
        task: Task,
        validation: Question,
        settings: Settings,
        seed: int,
        *,
        progress: Progress = silent,
    ) -> None:
        self.model = model
        self.task = task
        self.validation = validation.drawn(settings.validation_users or len(validation.users), seed)
        self.settings = settings
        self.seed = seed
        self.progress = progress
        self.epoch = 0
        self.device = validation.target.device
        self.optimizer = Optimizer(model, settings)
        if settings.compile:
            model.compile()

    def run_epoch(self, epoch: int) -> float:
        """See everything once; return the mean loss of the batches."""
        self.epoch = epoch
        order = torch.Generator().manual_seed(_epoch_seed(self.seed, epoch))
        torch.manual_seed(_epoch_seed(self.seed, epoch, rank() + 1))
        self.model.train()
        with tf32(self.device, is_on=self.settings.mixed_precision):
            batches = counted(self.task.batches(order), self.task.steps, partial(self._tell, "training"))
            losses = [self.step(batch) for batch in batches if len(batch) >= world()]
            self.optimizer.catch_up()
        loss = float(total(torch.stack(losses or [torch.zeros((), device=self.device)]).mean()))
        if not math.isfinite(loss):
            raise DivergedError(
                f"training diverged: loss {loss} in epoch {epoch} at learning_rate={self.settings.learning_rate}",
                hint="lower learning_rate or gradient_clip, as with --set learning_rate=1e-4",
            )
        return loss

    def step(self, batch: Tensor) -> Tensor:
        """One step of the optimiser; gives this rank's part of the batch's loss."""
        self.optimizer.zero_grad()
        is_mixed = self.settings.mixed_precision and self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_mixed):
            loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def validate(self) -> dict[str, float]:
        self.model.eval()
        with names_what_to_lower("ranking", self.settings, ("chunk_scores", "width")), as_written(self.settings):
            tell = partial(self._tell, "validation")
            ranks = evaluate(self.model, self.validation, chunk_scores=self.settings.chunk_scores, tell=tell)
        return summarise(ranks, cutoffs=(10,))

    def _tell(self, doing: str, done: int, of: int) -> None:
        epochs = {"epoch": self.epoch, "epochs": self.settings.epochs}
        self.progress("step", {"doing": doing, "done": done, "of": of, **epochs})

    def _loss(self, batch: Tensor) -> Tensor:
        """The mean over the batch's terms; where several ranks share it, what this one adds to that."""
        if world() == 1:
            return self.task.loss(batch)
        own = share(batch)
        count = torch.tensor(float(self.task.terms(own)), device=self.device)
        return self.task.loss(own) * count / total(count)


def as_written(settings: Settings) -> AbstractContextManager[Any]:
    """Compute without what `torch.compile` made for the length of the block: an evaluation is the same either way."""
    return torch.compiler.set_stance("force_eager") if settings.compile else nullcontext()


def _epoch_seed(seed: int, epoch: int, stream: int = 0) -> int:
    """Independent random numbers for every seed, epoch and stream: none to be kept from epoch to epoch."""
    return int(np.random.SeedSequence([seed, epoch, stream]).generate_state(1, np.uint64)[0])


@contextmanager
def _averaged(model: nn.Module, recent: Sequence[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Give a model the mean of recent weights, its own the last of them, for the length of the block."""
    if len(recent) == 1:
        yield recent[0]
        return
    mean = {name: reduce(torch.add, [one[name] for one in recent]) / len(recent) for name in recent[0]}
    model.load_state_dict(mean)
    try:
        yield mean
    finally:
        model.load_state_dict(recent[-1])


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in model.state_dict().items()}

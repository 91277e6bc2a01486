"""Train a model on a task: AdamW, stopped early on validation NDCG@10, its best state restored."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.evaluate import evaluate
from benchmark.metrics import summarise
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmark.data.split import Question
    from benchmark.models.protocol import TrainableModel
    from benchmark.settings import Settings
    from benchmark.tasks import Task

    Progress = Callable[[str, Mapping[str, object]], None]


@dataclass(frozen=True)
class Fit:
    epochs: int
    best_epoch: int
    """0 where no epoch was better on validation than the model as it was built."""
    ndcg: float
    """Validation NDCG@10 of the best epoch."""


def fit(
    model: TrainableModel, task: Task, validation: Question, settings: Settings, *, seed: int, progress: Progress
) -> Fit:
    """Train `model` in place; `progress` hears of each epoch."""
    trainer = Trainer(model, task, validation, settings, seed)
    best, best_state, epoch = Fit(0, 0, trainer.validate()["ndcg@10"]), _copy(model), 0
    for epoch in range(1, settings.epochs + 1):
        began = time.perf_counter()
        loss = trainer.run_epoch(epoch)
        metrics = trainer.validate()
        if metrics["ndcg@10"] > best.ndcg:
            best, best_state = Fit(epoch, epoch, metrics["ndcg@10"]), _copy(model)
        facts = {"epoch": epoch, "epochs": settings.epochs, "best_epoch": best.best_epoch, "loss": loss}
        progress("epoch", facts | metrics | {"seconds": time.perf_counter() - began})
        if epoch - best.best_epoch >= settings.patience:
            break
    model.load_state_dict(best_state)
    model.eval()
    return Fit(epoch, best.best_epoch, best.ndcg)


class Trainer:
    """One epoch of training, one validation."""

    def __init__(self, model: TrainableModel, task: Task, validation: Question, settings: Settings, seed: int) -> None:
        self.model = model
        self.task = task
        self.validation = validation
        self.settings = settings
        self.optimizer = _optimizer(model, settings)
        self.order = torch.Generator().manual_seed(seed)

    def run_epoch(self, epoch: int) -> float:
        """See everything once; return the mean loss of the batches."""
        self.model.train()
        losses = torch.stack([self.step(batch) for batch in self.task.batches(self.order)] or [torch.zeros(())])
        loss = float(losses.mean())
        if not math.isfinite(loss):
            raise MicrolensError(
                f"training diverged: loss {loss} in epoch {epoch} at learning_rate={self.settings.learning_rate}",
                hint="lower learning_rate or gradient_clip in the preset",
            )
        return loss

    def step(self, batch: Tensor) -> Tensor:
        device = batch.device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            loss = self.task.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        return loss.detach()

    def validate(self) -> dict[str, float]:
        self.model.eval()
        return summarise(evaluate(self.model, self.validation), cutoffs=(10,))


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """AdamW that decays matrices only: shrinking a norm's gain or a bias regularises nothing."""
    matrices = [weights for weights in model.parameters() if weights.ndim > 1]
    vectors = [weights for weights in model.parameters() if weights.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: values.clone() for name, values in model.state_dict().items()}

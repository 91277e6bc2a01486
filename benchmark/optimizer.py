"""What moves a model's weights: AdamW for all of it, row by row for large tables of which a step looks up little."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmark.parallel import add_up_gradients
from benchmark.row_adamw import RowAdamW
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from benchmark.settings import Settings

ROW_WISE_FROM = {"cpu": 2_000_000, "cuda": 50_000_000}
"""Numbers of a table from which on moving all of them costs more than finding those to move."""


class Optimizer:
    """AdamW that decays matrices only: shrinking a norm's gain or a bias regularises nothing."""

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self.settings = settings
        self.by_rows = {
            name: RowAdamW(embedding, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay)
            for name, embedding in _large_tables(model, settings).items()
        }
        weights = [one for one in model.parameters() if all(one is not row.weight for row in self.by_rows.values())]
        matrices = [one for one in weights if one.ndim > 1]
        vectors = [one for one in weights if one.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.dense = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)

    def zero_grad(self) -> None:
        for one in self._weights():
            one.grad = None

    def step(self) -> None:
        """Add gradients up over the ranks, clip them, follow them."""
        for name in [name for name, one in self.by_rows.items() if _is_dense(one.weight.grad)]:
            self._make_dense(name)
        dense = self._dense_weights()
        add_up_gradients(dense, [one.weight for one in self.by_rows.values()])
        _clip(self._weights(), self.settings.gradient_clip)
        self.dense.step()
        for one in self.by_rows.values():
            one.step()

    def catch_up(self) -> None:
        """Bring every row up to date, before the model is asked."""
        for one in self.by_rows.values():
            one.catch_up_all()

    def state_dict(self) -> dict[str, Any]:
        by_rows = {name: one.state_dict() for name, one in self.by_rows.items()}
        return {"dense": self.dense.state_dict(), "by_rows": by_rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in [name for name in self.by_rows if name not in state["by_rows"]]:
            self._make_dense(name)
        for name, one in self.by_rows.items():
            one.load_state_dict(state["by_rows"][name])
        self.dense.load_state_dict(state["dense"])

    def _make_dense(self, name: str) -> None:
        """A model that computes with a whole table gives it a dense gradient; that shows in the first step."""
        one = self.by_rows.pop(name)
        if one.steps:
            raise MicrolensError(
                f"the model computes with the whole of {name} in step {one.steps + 1} and looked rows up before",
                hint="set row_wise=never",
            )
        one.release()
        self.dense.add_param_group({"params": [one.weight], "weight_decay": self.settings.weight_decay})

    def _dense_weights(self) -> list[Tensor]:
        return [one for group in self.dense.param_groups for one in group["params"]]

    def _weights(self) -> list[Tensor]:
        return [*self._dense_weights(), *(one.weight for one in self.by_rows.values())]


def _large_tables(model: nn.Module, settings: Settings) -> dict[str, nn.Embedding]:
    """Embeddings to be moved row by row, by name; a loss over all items looks up every row."""
    if settings.row_wise == "never" or settings.loss == "full":
        return {}
    uses = Counter(id(one) for module in model.modules() for one in module.parameters(recurse=False))
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding)
        and uses[id(module.weight)] == 1
        and module.weight.requires_grad
        and (settings.row_wise == "always" or module.weight.numel() >= ROW_WISE_FROM[module.weight.device.type])
    }


def _is_dense(gradient: Tensor | None) -> bool:
    return gradient is not None and not gradient.is_sparse


def _clip(weights: list[Tensor], largest: float) -> None:
    """As `nn.utils.clip_grad_norm_`, which takes no sparse gradients."""
    for one in weights:
        if one.grad is not None and one.grad.is_sparse:
            one.grad = one.grad.coalesce()
    values = [one.grad.values() if one.grad.is_sparse else one.grad for one in weights if one.grad is not None]
    if values:
        share = (largest / (nn.utils.get_total_norm(values) + 1e-6)).clamp(max=1.0)
        for one in values:
            one.mul_(share)

"""AdamW for an embedding of which a step looks up few rows: what dense AdamW computes, at the cost of those rows.

Dense AdamW (Loshchilov & Hutter, ICLR 2019) moves every row in every step. But a row without a gradient since step s
moves in a way that can be summed up: its moments shrink by b1 and b2 a step, its weights by d = 1 - lr * decay, so that
g steps later, with c(j) = lr * sqrt(1 - b2^j) / (1 - b1^j) and r = b1 / sqrt(b2),

    w(s + g) = d^g w(s)  -  m(s) / (sqrt(v(s)) + e)  *  sum over k = 1 ... g of  c(s + k) r^k d^(g - k)

So a row is left alone until it is looked up again, and then brought up to date. The sum is a difference of two tails
T(s) = sum over k >= 1 of c(s + k) (r / d)^k, which lie in a table. The one difference from the dense formula is that
e = eps * sqrt(1 - b2^(s + 1)) is that of the first of these steps: with each further one it would grow against a second
moment that shrinks. That is felt where gradients are not much larger than eps = 1e-8; moments are exact.

R rows of an embedding, D width, n rows at hand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from torch import Tensor, nn

BETAS, EPSILON = (0.9, 0.999), 1e-8  # torch's AdamW's
_TAILS = 20_000  # steps after which no bias correction is left: 0.999 ** 20,000 = 2e-9
_CHUNK = 65_536  # rows brought up to date at once


class RowAdamW:
    """Of one `nn.Embedding`, which it makes give sparse gradients."""

    def __init__(self, embedding: nn.Embedding, *, learning_rate: float, weight_decay: float) -> None:
        self.embedding, self.weight = embedding, embedding.weight
        self.learning_rate, self.decay = learning_rate, 1 - learning_rate * weight_decay
        self.steps = 0
        self.tails = _tails(learning_rate, self.decay).to(self.weight.device)
        self.mean, self.square = torch.zeros_like(self.weight.detach()), torch.zeros_like(self.weight.detach())
        self.last = torch.zeros(len(self.weight), dtype=torch.int32, device=self.weight.device)
        """(R,) The step that each row is up to date with."""
        embedding.sparse = True
        self._hook = embedding.register_forward_pre_hook(self._before_lookup)

    def step(self) -> None:
        """Take one step along the gradient's rows; all others fall one step behind."""
        if self.weight.grad is None:
            self.steps += 1
            return
        gradient = self.weight.grad.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        self.catch_up(rows)  # another rank may have looked up what this one did not
        self.steps += 1
        beta_1, beta_2 = BETAS
        with torch.no_grad():
            mean = self.mean[rows].lerp_(values, 1 - beta_1)
            square = self.square[rows].mul_(beta_2).addcmul_(values, values, value=1 - beta_2)
            spread = (square.sqrt() / math.sqrt(1 - beta_2**self.steps)).add_(EPSILON)
            size = -self.learning_rate / (1 - beta_1**self.steps)
            self.weight[rows] = (self.weight[rows] * self.decay).addcdiv_(mean, spread, value=size)
        self.mean[rows], self.square[rows], self.last[rows] = mean, square, self.steps

    def catch_up(self, rows: Tensor) -> None:
        """Bring distinct rows (n,) to what dense AdamW would have made of them by now."""
        last = self.last[rows].long()
        behind = last < self.steps
        rows, last = rows[behind], last[behind]
        if not len(rows):
            return
        beta_1, beta_2 = BETAS
        gap = (self.steps - last).double()  # an integer would make float32 of powers
        decay = (self.decay**gap)[:, None].float()
        ratio = beta_1 / math.sqrt(beta_2) / self.decay
        final = len(self.tails) - 1
        owed = self.tails[last.clamp(max=final)] - ratio**gap * self.tails[min(self.steps, final)]
        with torch.no_grad():
            mean, square = self.mean[rows], self.square[rows]
            epsilon = EPSILON * (1 - beta_2 ** (last + 1).double()).sqrt()[:, None].float()
            pull = mean / (square.sqrt() + epsilon) * owed[:, None].float()
            self.weight[rows] = (self.weight[rows] - pull) * decay
        self.mean[rows] = mean * (beta_1**gap)[:, None].float()
        self.square[rows] = square * (beta_2**gap)[:, None].float()
        self.last[rows] = self.steps

    def catch_up_all(self) -> None:
        """The same of every row: before the weights are read as a whole."""
        for rows in torch.split(torch.arange(len(self.weight), device=self.weight.device), _CHUNK):
            self.catch_up(rows)

    def release(self) -> None:
        """Give the embedding back as it was: its gradients are dense again."""
        self._hook.remove()
        self.embedding.sparse = False

    def state_dict(self) -> dict[str, Any]:
        """What to go on from, with every row up to date."""
        self.catch_up_all()
        return {"steps": self.steps, "mean": self.mean, "square": self.square}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])
        self.last.fill_(self.steps)

    def _before_lookup(self, embedding: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if embedding.training:
            self.catch_up(torch.unique(arguments[0]))


def _tails(learning_rate: float, decay: float) -> Tensor:
    """T(s) of s = 0, 1, ... (S,); the last one holds of all later steps."""
    beta_1, beta_2 = BETAS
    ratio = beta_1 / math.sqrt(beta_2) / decay
    if ratio >= 1:
        raise RecipeError(
            f"learning_rate * weight_decay is {1 - decay:g}: rows would decay faster than their moments",
            hint="lower weight_decay, or set row_wise=never",
        )
    steps = torch.arange(1, _TAILS + 1, dtype=torch.float64)
    sizes = (learning_rate * (1 - beta_2**steps).sqrt() / (1 - beta_1**steps)).tolist()
    tails = [learning_rate * ratio / (1 - ratio)]
    for size in reversed(sizes):
        tails.append(ratio * (size + tails[-1]))
    return torch.tensor(tails[::-1], dtype=torch.float64)

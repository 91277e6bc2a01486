"""The item side of a model: one vector per item, and what is known of it before any user is.

N states, C candidate items, K candidates of one state, D width, V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.losses import full_softmax
from benchmark.models.spectral import spectral_directions
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from benchmark.data.split import Split
    from benchmark.settings import Settings


class ItemTable(nn.Module):
    """Learned item vectors (V, D) that begin with a `length`; the padding row is zero and stays so.

    With `log_prior` (V,) a score is state · item + log_prior + offset: the popularity of an item is given, and only how
    far to stray from it is learned. The paper's SASRec has the bare dot product, which is `log_prior=None`.
    `side` adds what else is known of items: it takes id vectors (..., D) and ids (...), and returns vectors.
    """

    def __init__(
        self,
        item_count: int,
        width: int,
        *,
        length: float = 1.0,
        log_prior: Tensor | None = None,
        side: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.embedding = new_table(item_count + 1, width, padding=0, length=length)
        self.register_buffer("log_prior", log_prior, persistent=False)
        self.offset = None if log_prior is None else nn.Embedding(item_count + 1, 1, padding_idx=0)
        if self.offset is not None:
            nn.init.zeros_(self.offset.weight)
        self.side = side
        self._everything: tuple[Tensor, Tensor | None] | None = None

    def forward(self, items: Tensor) -> Tensor:
        """Look up ids (...); return vectors (..., D)."""
        found = self.embedding(items)
        return found if self.side is None else self.side(found, items)

    def start_from(self, vectors: Tensor) -> None:
        """Have item vectors begin as these (V, D), and as they were drawn where one is zero."""
        with torch.no_grad():
            weight = self.embedding.weight
            vectors = vectors.to(weight.device)
            weight.copy_(torch.where(vectors.any(1, keepdim=True), vectors, weight))

    def bias(self, items: Tensor) -> Tensor | None:
        """What is added to the score of ids (...), whoever asks: (...)."""
        if self.offset is None:
            return None
        return self.get_buffer("log_prior")[items] + self.offset(items).squeeze(-1)

    def cross_entropy(self, states: Tensor, target: Tensor) -> Tensor:
        """Of target ids (N,) against all items, for states (N, D)."""
        everything = torch.arange(1, self.embedding.num_embeddings, device=states.device)
        return full_softmax(states, self(everything), self.bias(everything), target)

    def logits(self, states: Tensor, items: Tensor) -> Tensor:
        """Score candidate ids (C,), or each state's own (N, K), for states (N, D): (N, C) or (N, K)."""
        if items.ndim == 1:
            return _affine(states, self(items), self.bias(items))
        logits, bias = (self(items) @ states[:, :, None])[..., 0], self.bias(items)
        return logits if bias is None else logits + bias

    def scores(self, states: Tensor) -> Tensor:
        """Score every item for states (N, D): (N, V), with a meaningless column 0.

        All vectors are put together once, and again when `train` or `eval` is called.
        """
        if self.training or self._everything is None:
            everything = torch.arange(self.embedding.num_embeddings, device=states.device)
            self._everything = self(everything), self.bias(everything)
        return _affine(states, *self._everything)

    def train(self, mode: bool = True) -> ItemTable:
        self._everything = None
        return super().train(mode)


def item_table(
    split: Split, settings: Settings, *, width: int | None = None, side: nn.Module | None = None
) -> ItemTable:
    """Make the item side that the settings ask for, of their width unless another is given."""
    # One is added to every count: an item that only validation or test holds has a log frequency, too.
    log_prior = ((split.frequency + 1) / (split.frequency + 1).sum()).log() if settings.item_bias else None
    width, length = width or settings.width, settings.start_length
    table = ItemTable(split.item_count, width, length=length, log_prior=log_prior, side=side)
    if settings.start == "spectral":
        table.start_from(length * spectral_directions(split.train, split.item_count, width))
    return table


def _affine(states: Tensor, vectors: Tensor, bias: Tensor | None) -> Tensor:
    """Scores (N, C) of states (N, D) and vectors (C, D): in one pass where that rounds no bias."""
    if bias is None:
        return states @ vectors.T
    # Mixed precision would take the bias in bfloat16: a popularity of -10 to the next 1/16.
    if torch.is_autocast_enabled(states.device.type):
        return states @ vectors.T + bias
    return torch.addmm(bias, states, vectors.T)

"""The item side of a model: one vector per item, and what is known of it before any user is.

C candidate items, D width, V items with padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ItemTable(nn.Module):
    """Learned item vectors (V, D); the padding row is zero and stays so.

    With `log_prior` (V,) a score is state · item + log_prior + offset: the popularity of an item is given, and only how
    far to stray from it is learned. The paper's SASRec has the bare dot product, which is `log_prior=None`.
    """

    def __init__(self, item_count: int, width: int, *, log_prior: Tensor | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(item_count + 1, width, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        with torch.no_grad():
            self.embedding.weight[0] = 0
        self.register_buffer("log_prior", log_prior, persistent=False)
        self.offset = None if log_prior is None else nn.Embedding(item_count + 1, 1, padding_idx=0)
        if self.offset is not None:
            nn.init.zeros_(self.offset.weight)

    def forward(self, items: Tensor) -> Tensor:
        """Look up ids (...); return vectors (..., D)."""
        return self.embedding(items)

    def logits(self, states: Tensor, items: Tensor) -> Tensor:
        """Score candidate ids (C,) for states (N, D): (N, C)."""
        logits = states @ self.embedding(items).T
        if self.offset is None:
            return logits
        return logits + self.get_buffer("log_prior")[items] + self.offset(items).squeeze(-1)

    def scores(self, states: Tensor) -> Tensor:
        """Score every item for states (N, D): (N, V), with a meaningless column 0."""
        return self.logits(states, torch.arange(self.embedding.num_embeddings, device=states.device))

"""What models of users and items, whatever their order, have in common.

B users, K items of each, C candidate items, U users, V items with padding, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from benchmark.models.recommender import TrainableModel

if TYPE_CHECKING:
    from typing import Self


class PairModel(Protocol):
    """What is trained on pairs."""

    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Score items (B, K) for users (B,): (B, K)."""
        ...


class DotProduct(TrainableModel):
    """A vector a user, a vector an item, and their product is the score.

    `encoder` takes users (B,) and items (C,); it returns their vectors (B, D) and (C, D). In evaluation mode those of
    all are worked out once, at the first question, and dropped when training goes on.
    """

    def __init__(self, encoder: nn.Module, user_count: int, item_count: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.user_count = user_count
        self.item_count = item_count
        self._all: tuple[Tensor, Tensor] | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Score items (B, K) for users (B,): (B, K)."""
        user_vectors, item_vectors = self.encoder(users, items.flatten())
        return (item_vectors.view(*items.shape, -1) @ user_vectors[:, :, None]).squeeze(-1)

    def logits(self, users: Tensor, items: Tensor) -> Tensor:
        """Score candidates (C,) for users (B,): (B, C)."""
        user_vectors, item_vectors = self.encoder(users, items)
        return user_vectors @ item_vectors.T

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Score every item for users, whatever their last items: (B,), (B, T) to (B, V)."""
        with torch.no_grad():
            user_vectors, item_vectors = self._all or self._encode_all(users.device)
            return user_vectors[users] @ item_vectors.T

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self.encoder.compile(*args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        self._all = None
        return super().train(mode)

    def _encode_all(self, device: torch.device) -> tuple[Tensor, Tensor]:
        users, items = (torch.arange(count, device=device) for count in (self.user_count, self.item_count + 1))
        encoded: tuple[Tensor, Tensor] = self.encoder(users, items)
        if not self.training:
            self._all = encoded
        return encoded


def _forget(model: DotProduct, keys: object) -> None:  # noqa: ARG001
    model._all = None  # noqa: SLF001 - a hook is the model's own

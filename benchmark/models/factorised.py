"""A factorisation machine of two fields, user and item, whose vectors interact in more than a dot product.

B users, K items of each, C items, D width, H hidden width, V items with padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from benchmark.models.recommender import TrainableModel
from benchmark.models.tables import new_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmark.data.split import Split
    from benchmark.settings import Settings

SETTINGS = {"loss": "bce"}  # no dot product: a whole batch of candidates for each pair would be too many
GRID_NUMBERS = {"cpu": 2**20, "cuda": 2**26}
"""Of a hidden layer that is held at once, users by width by items: what a cache takes, or what keeps a GPU busy."""


class Interaction(Protocol):
    """A module that makes a score of two vectors; in evaluation mode both ways are the same function."""

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs of users and items, (N, D) each: (N,)."""
        ...

    def grid(self, users: Tensor, items: Tensor) -> Tensor:
        """Score every item (C, D) for every user (B, D), without a table of (B, C, D): (B, C)."""
        ...

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `nn.Module.compile`."""
        ...


def over(interaction: Callable[..., Interaction], split: Split, settings: Settings) -> Factorised:
    """Make the model whose vectors meet in this kind of interaction, of the settings."""
    made = interaction(settings.width, layers=settings.blocks, dropout=settings.dropout)
    return Factorised(made, split.user_count, split.item_count, settings.width)


class Factorised(TrainableModel):
    """Score = first-order weights of user and item + `interaction` of their vectors."""

    def __init__(self, interaction: Interaction, user_count: int, item_count: int, width: int) -> None:
        super().__init__()
        # Short at first, so that first-order weights are learned before products of random vectors are.
        self.users = new_table(user_count, width, length=0.1)
        self.items = new_table(item_count + 1, width, length=0.1, padding=0)
        self.user_weight = nn.Embedding(user_count, 1)
        self.item_weight = nn.Embedding(item_count + 1, 1, padding_idx=0)
        nn.init.zeros_(self.user_weight.weight)
        nn.init.zeros_(self.item_weight.weight)
        self.interaction = interaction

    def pair_scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Score items (B, K) for users (B,): (B, K)."""
        pairs = self.users(users)[:, None].expand(-1, items.shape[1], -1), self.items(items)
        second = self.interaction(*(vectors.flatten(0, 1) for vectors in pairs)).view_as(items)
        return self.user_weight(users) + self.item_weight(items).squeeze(-1) + second

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self.interaction.compile(*args, **kwargs)

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Score every item for users, a block of both at a time: (B,), (B, T) to (B, V)."""
        with torch.no_grad():
            return torch.cat([self._scores(some) for some in torch.split(users, self._size()[0])])

    def _scores(self, users: Tensor) -> Tensor:
        blocks = torch.split(self.items.weight, self._size()[1])
        grids = [self.interaction.grid(self.users(users), block) for block in blocks]
        return torch.cat(grids, 1) + self.user_weight(users) + self.item_weight.weight.squeeze(-1)

    def _size(self) -> tuple[int, int]:
        """How many users and items make a block; their hidden layer, and a user's weights in it, fit GRID_NUMBERS."""
        width = self.users.embedding_dim
        numbers = GRID_NUMBERS.get(self.users.weight.device.type, GRID_NUMBERS["cpu"])
        user_count = max(1, numbers // width**2)
        return user_count, max(1, numbers // (user_count * width))


def by_columns(layers: Iterable[nn.Module], grid: Tensor) -> Tensor:
    """Send (B, H, C) through layers that take (N, H): (B, H', C)."""
    for layer in layers:
        grid = layer.weight @ grid + layer.bias[:, None] if isinstance(layer, nn.Linear) else layer(grid)
    return grid

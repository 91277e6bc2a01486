"""Popularity: everyone is shown what most people met. Nothing is learned; every other model should beat it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings


def build(split: Split, settings: Settings, side: Side) -> Popularity:  # noqa: ARG001
    return Popularity(split.frequency)


class Popularity:
    """B users, T steps, V items with padding."""

    def __init__(self, frequency: Tensor) -> None:
        """Take how often each item occurs in training: (V,)."""
        # float32 counts to 16,777,216 exactly; beyond it near neighbours would tie
        self.frequency = frequency.double()

    def scores(self, users: Tensor, history: Tensor) -> Tensor:  # noqa: ARG002
        """Give every user the same counts: (B,), (B, T) to (B, V)."""
        return self.frequency.repeat(len(users), 1)

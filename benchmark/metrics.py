"""Full ranking: where the target stands among ALL items that the user has not met.

B users, V items with padding.

Ties are settled fairly: a metric is its expectation over every order of the tied items. A target with `above` better
items and `tied` equal ones (itself among them) stands at ranks above + 1 ... above + tied with equal chance, so a model
that scores all items alike gets HR@K = K / candidates: no more, and no less, than guessing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """Where each user's target stands; both (B,), and `tied` counts the target itself."""

    above: Tensor
    tied: Tensor

    @property
    def expected(self) -> Tensor:
        """The mean rank over all orders of the tied items, from 1: (B,)."""
        return 1 + self.above + (self.tied - 1) / 2

    @classmethod
    def joined(cls, parts: list[Ranks]) -> Ranks:
        return cls(torch.cat([part.above for part in parts]), torch.cat([part.tied for part in parts]))


def ranks(scores: Tensor, target: Tensor, seen: Tensor) -> Ranks:
    """Rank `target` (B,) by `scores` (B, V); `seen` (B, V) and padding are left out, the target never is.

    A score that is not a number ranks last, so a diverged model cannot win.
    """
    wanted = target[:, None]
    is_candidate = ~seen.scatter(1, wanted, value=False)
    is_candidate[:, 0] = False
    own = scores.gather(1, wanted)
    tied = _count((scores == own) & is_candidate)
    above = _count(is_candidate) - _count((scores < own) & is_candidate) - tied
    return Ranks(above, tied.clamp(min=1))


def _count(flags: Tensor) -> Tensor:
    """Count the true ones of each row (B, V): (B,). Summed as bytes, which takes a fifth of the time of bools."""
    return flags.view(torch.uint8).sum(1, dtype=torch.int32)


def hit_rate(ranks: Ranks, k: int) -> Tensor:
    """HR@K of each user, in [0, 1]: the chance that the target is among the first K. (B,)."""
    return ((k - ranks.above).clamp(min=0).minimum(ranks.tied) / ranks.tied).double()


def ndcg(ranks: Ranks, k: int) -> Tensor:
    """NDCG@K of each user with one target: the mean of 1 / log2(1 + rank), 0 beyond K. (B,)."""
    places = torch.arange(1, k + 1, dtype=torch.float64, device=ranks.above.device)
    total = torch.cat([places.new_zeros(1), (1 / (places + 1).log2()).cumsum(0)])
    first, last = ranks.above.clamp(max=k), (ranks.above + ranks.tied).clamp(max=k)
    return (total[last] - total[first]) / ranks.tied


def summarise(ranks: Ranks, cutoffs: tuple[int, ...] = (10, 20)) -> dict[str, float]:
    """Average over users: `hr@10`, `ndcg@10`, and so on for every cutoff."""
    return {
        f"{name}@{k}": float(metric(ranks, k).mean())
        for k in cutoffs
        for name, metric in (("hr", hit_rate), ("ndcg", ndcg))
    }


def standard_error(values: Tensor) -> float:
    """How far a mean over these users (B,) would stray in another sample of as many."""
    return float(values.std(unbiased=False)) / math.sqrt(len(values))

"""Full ranking: where the target stands among ALL items that the user has not met.

B users, U all of them, K places of a list, V items with padding.

Ties are settled fairly: a metric is its expectation over every order of the tied items. A target with `above` better
items and `tied` equal ones (itself among them) stands at ranks above + 1 ... above + tied with equal chance, so a model
that scores all items alike gets HR@K = K / candidates: no more, and no less, than guessing. So McSherry and Najork
("Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008).
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

    @classmethod
    def joined(cls, parts: list[Ranks]) -> Ranks:
        return cls(torch.cat([part.above for part in parts]), torch.cat([part.tied for part in parts]))


def ranks(scores: Tensor, target: Tensor, row: Tensor, seen: Tensor) -> Ranks:
    """Rank `target` (B,) by `scores` (B, V), which it writes to: padding and what is seen get minus infinity.

    Seen are the items `seen` (n,) of the rows `row` (n,), each once, targets not among them.
    A score that is not a number ranks last, so a diverged model cannot win.
    """
    scores[row, seen] = -torch.inf
    scores[:, 0] = -torch.inf
    own = scores.gather(1, target[:, None])
    # Signs of differences, summed, take a fifth of the time that counting two comparisons takes; sums of ones are exact
    # in float32 up to 2 ** 24 items.
    lead = scores - own
    is_odd = lead.sum(1).isnan() | ~own[:, 0].isfinite()
    ahead, unequal = lead.sign_().sum(1), lead.square_().sum(1)
    above, tied = ((ahead + unequal) / 2).int(), (scores.shape[1] - unequal).int()
    if is_odd.any():
        masked = 1 + torch.bincount(row, minlength=len(scores)).int()
        above[is_odd], tied[is_odd] = _compared(scores[is_odd], own[is_odd], masked[is_odd])
    return Ranks(above, tied)


def _compared(scores: Tensor, own: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
    """The same of rows that hold what is no number, or whose target lies at minus infinity, as what is masked does."""
    below, tied = ((scores < own).sum(1).int(), (scores == own).sum(1).int())
    below -= torch.where(own[:, 0] > -torch.inf, masked, 0)
    tied -= torch.where(own[:, 0] == -torch.inf, masked, 0)
    return scores.shape[1] - masked - below - tied, tied.clamp(min=1)


def hit_rate(ranks: Ranks, k: int) -> Tensor:
    """HR@K of each user, in [0, 1]: the chance that the target is among the first K. (B,)."""
    return ((k - ranks.above).clamp(min=0).minimum(ranks.tied) / ranks.tied).double()


def ndcg(ranks: Ranks, k: int) -> Tensor:
    """NDCG@K of each user with one target: the mean of 1 / log2(1 + rank), 0 beyond K. (B,).

    Järvelin and Kekäläinen (ACM TOIS 20(4), 2002); the best that one target can gain is 1.
    """
    places = torch.arange(1, k + 1, dtype=torch.float64, device=ranks.above.device)
    return _mean_gain(ranks, 1 / (places + 1).log2())


def mrr(ranks: Ranks, k: int) -> Tensor:
    """MRR@K of each user: the mean of 1 / rank, 0 beyond K. (B,)."""
    return _mean_gain(ranks, 1 / torch.arange(1, k + 1, dtype=torch.float64, device=ranks.above.device))


def _mean_gain(ranks: Ranks, gains: Tensor) -> Tensor:
    """Mean over the ranks that each target may stand at, of what the first K places gain (K,)."""
    k, total = len(gains), torch.cat([gains.new_zeros(1), gains.cumsum(0)])
    first, last = ranks.above.clamp(max=k), (ranks.above + ranks.tied).clamp(max=k)
    return (total[last] - total[first]) / ranks.tied


def coverage(lists: Tensor, item_count: int) -> float:
    """Share of the catalogue that anybody is shown in lists (U, K), 0 to 1; a place of 0 is empty."""
    return len(torch.unique(lists[lists > 0])) / item_count


def mean_popularity(lists: Tensor, frequency: Tensor) -> float:
    """How often a shown item was met in training, averaged over lists (U, K) of items counted in `frequency` (V,).

    A place of 0 is empty, and counts for nothing.

    ARP of Yin et al. (PVLDB 5, 2012). Compared with the same mean over targets it tells a bias.
    """
    return float(frequency[lists[lists > 0]].double().mean())


def summarise(ranks: Ranks, cutoffs: tuple[int, ...] = (10, 20)) -> dict[str, float]:
    """Average over users: `hr@10`, `ndcg@10`, `mrr@10`, and so on for every cutoff."""
    return {
        f"{name}@{k}": float(metric(ranks, k).mean())
        for k in cutoffs
        for name, metric in (("hr", hit_rate), ("ndcg", ndcg), ("mrr", mrr))
    }


def standard_error(values: Tensor) -> float:
    """How far a mean over these users (B,) would stray in another sample of as many."""
    return float(values.std(unbiased=False)) / math.sqrt(len(values))

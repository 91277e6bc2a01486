"""What training makes small. Pure functions of scores; each has a NumPy reference in the tests.

N predictions (one per real step of a batch, or per pair of user and item), C candidate items, K drawn items, B users,
T steps, V items with padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import cross_entropy, linear_cross_entropy, softplus

_SCORES_AT_ONCE = {"cpu": 1_000_000, "cuda": 100_000_000}  # 4 MB, for a processor's cache; 400 MB keep a GPU busy


@dataclass(frozen=True)
class Candidates:
    """The distinct items of a batch, and which of them each prediction is about."""

    items: Tensor  # (C,) each once, padding never
    column: Tensor  # (N,) the place of each target in `items`
    excluded: Tensor  # (N, C) what the same user met elsewhere in the batch: no negatives

    @classmethod
    def of_batch(cls, sequences: Tensor, is_target: Tensor, own: slice = slice(None)) -> Candidates:
        """Collect them from items (B, T); what is predicted are the items of the `own` rows where `is_target` (b, T).

        Predictions are in the order of rows, and of steps within one.
        """
        distinct, place = torch.unique(sequences, return_inverse=True)
        sequences, place = sequences[own], place[own]
        B, width = sequences.shape
        has_padding = int(distinct[0] == 0)
        row, step = is_target.nonzero(as_tuple=True)
        column = place[row, step] - has_padding
        met = torch.zeros(B, len(distinct), dtype=torch.bool, device=sequences.device)
        met[torch.arange(B, device=sequences.device)[:, None].expand(B, width), place] = True
        excluded = met[row, has_padding:].scatter(1, column[:, None], value=False)
        return cls(distinct[has_padding:], column, excluded)


def predicted(sequences: Tensor) -> Tensor:
    """Tell the steps that have both an input and a target: items (B, T + 1) to bool (B, T)."""
    return (sequences[:, :-1] != 0) & (sequences[:, 1:] != 0)


def in_batch_softmax(logits: Tensor, column: Tensor, excluded: Tensor, log_q: Tensor) -> Tensor:
    """Cross-entropy over the items of the batch (N, C), corrected for how they came to be there.

    A popular item is a negative more often than its share of the catalogue; taking `log_q` (C,), the log of how likely
    an item is to be a candidate, off its score makes the sum over the batch stand for a sum over all items.
    """
    return cross_entropy((logits - log_q).masked_fill(excluded, -torch.inf), column)


def full_softmax(states: Tensor, vectors: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """Cross-entropy over every item: states (N, D), items (V - 1, D), biases (V - 1,), target ids (N,) from 1.

    A few states at a time, so that their scores stay in a processor's cache and never stand in memory together: half
    the time of matrices as a whole.
    """
    chunk = max(1, _SCORES_AT_ONCE[states.device.type] // len(vectors))
    options = LinearCrossEntropyOptions(batch_chunk_size=chunk)
    # Autocast does not reach it: it computes in float32, or TF32 where that is on.
    states, vectors = states.float(), vectors.float()
    return linear_cross_entropy(states, vectors, target - 1, linear_bias=bias, options=options)


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Have the target (N,) score above each drawn item (N, K): -log sigmoid of the difference, averaged.

    Rendle et al., UAI 2009.
    """
    return softplus(negative - positive[:, None]).mean()


def sampled_softmax(positive: Tensor, negative: Tensor, excluded: Tensor) -> Tensor:
    """Cross-entropy of each target's logit (N,) against those of drawn items (N, K), the `excluded` (N, K) left out.

    As Klenitskiy and Vasilev (RecSys 2023, https://arxiv.org/abs/2309.07602) train SASRec: uniform draws, and nothing
    taken off for them.
    """
    rivals = negative.masked_fill(excluded, -torch.inf)
    return (torch.cat([positive[:, None], rivals], 1).logsumexp(1) - positive).mean()


def bce(positive: Tensor, negative: Tensor, excluded: Tensor, power: float = 1.0) -> Tensor:
    """Binary cross-entropy of targets (N,) and drawn items (N, K), over K + 1; the `excluded` (N, K) count for nothing.

    With one drawn item it is half of SASRec's own loss (Kang & McAuley, 2018). `power` is gBCE's exponent on the
    probability of a target (`gbce_power`).
    """
    rivals = softplus(negative).masked_fill(excluded, 0).sum(1)
    return (power * softplus(-positive) + rivals).mean() / (negative.shape[1] + 1)


def gbce_power(negatives: int, item_count: int, calibration: float) -> float:
    """Exponent that undoes the overconfidence of BCE with so few negatives: gBCE is `bce` with it.

    Petrov and Macdonald (RecSys 2023, https://arxiv.org/abs/2308.07192): alpha (t (1 - 1 / alpha) + 1 / alpha), where
    alpha is the share of other items that is drawn, and t the `calibration`: 0 is plain BCE, 1 wholly calibrated.
    With one item there are no others, and nothing to undo.
    """
    if item_count == 1:
        return 1.0
    alpha = negatives / (item_count - 1)
    return alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)


def log_q(kind: str, frequency: Tensor, batch_share: float) -> Tensor:
    """Take what `in_batch_softmax` takes off scores, by the setting `log_q`, of candidates' frequencies (C,): (C,)."""
    return log_frequency(frequency) if kind == "frequency" else log_inclusion(frequency, batch_share)


def log_frequency(frequency: Tensor) -> Tensor:
    """Take the log of candidates' training frequencies (C,): the correction of Yi et al. (RecSys 2019).

    It is exact where a batch lists an item as often as it was drawn. Their total is left out: a constant cancels.
    """
    return frequency.clamp(min=1).log()


def log_inclusion(frequency: Tensor, batch_share: float) -> Tensor:
    """Take the log of the chance that an item is in a batch which holds `batch_share` of the users: (C,).

    Candidates are distinct, so this is their true chance: an item of f users is missed with (1 - share)^f. For rare
    items it differs from `log_frequency` by a constant; a small catalogue is in every batch, and needs no correction.
    """
    missed = (1 - batch_share) ** frequency.clamp(min=1).double()
    return (1 - missed).log().float()

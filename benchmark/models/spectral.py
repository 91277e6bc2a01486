"""Directions for item vectors before training: items that the same people meet soon after each other lie together.

Vectors drawn at random tell nothing of an item that is met ten times, and a model of sequences spends most of its
epochs on finding out what is met beside what at all. A few eigenvectors say so within a second: those of the largest
eigenvalues of D^-1/2 A D^-1/2, where A counts pairs of items and D is its diagonal of row sums, are the spectral
embedding of a graph (Shi & Malik, PAMI 2000; Ng, Jordan & Weiss, NeurIPS 2001). Largest is meant without the sign: a
negative eigenvalue tells who is met beside others, but never beside each other. They are found by subspace iteration
from a random start (Halko, Martinsson & Tropp, SIAM Review 2011); torch's `svd_lowrank` does it for any matrix,
but sorts a sparse one anew in every round to transpose it, which a symmetric one does not need.

U users, T steps, V items with padding, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize, pad

if TYPE_CHECKING:
    from collections.abc import Callable

FADING = 0.8
"""What a pair of items counts, as a share of one that is a step nearer."""
FARTHEST = 15
"""Steps apart at which a pair still counts; memory grows with them, and farther ones would count for a thirtieth."""
SMOOTHING = 0.3
"""What is added to every item's total, as a share of their mean (Qin & Rohe, NeurIPS 2013). Without it any two items
that stand apart from all others take a direction for themselves, and leave fewer to tell the others apart."""
_ROUNDS = 8  # of subspace iteration; more change nothing that training would notice
_SPARE = 16  # directions beyond those asked for, which make these exact


def spectral_directions(sequences: Tensor, item_count: int, width: int) -> Tensor:
    """Make a unit vector of every item of training sequences (U, T): (V, D), zero for what stands beside nothing.

    On the CPU, whatever the device: a GPU adds up in an order that changes. Draws from the global generator. It holds
    some 80 bytes for each two items of a sequence that stand no farther apart than `FARTHEST`.
    """
    size = item_count + 1
    one, other, count = _beside(sequences.cpu(), size)
    total = torch.zeros(size).index_add_(0, one, count)
    degree = total + SMOOTHING * total[total > 0].mean()
    share = count / (degree[one] * degree[other]).sqrt()
    bounds = torch.searchsorted(one, torch.arange(size + 1))

    def times_shares(basis: Tensor) -> Tensor:
        """Multiply the matrix of shares and (V, n): faster than torch's sparse product, as in graph.py."""
        return embedding_bag(other, basis, bounds, mode="sum", per_sample_weights=share, include_last_offset=True)

    vectors, values = _eigenvectors(times_shares, size, width)
    found = vectors * values.abs().sqrt() * (total > 0)[:, None]
    return normalize(pad(found, (0, width - found.shape[1])))


def _beside(sequences: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Count who is met beside whom, a pair by its distance: one, other and count (P,), both ways round, sorted."""
    pairs, counts = [torch.empty(2, 0, dtype=torch.long)], [torch.empty(0)]
    for distance in range(1, min(sequences.shape[1], FARTHEST + 1)):
        one, other = sequences[:, :-distance].flatten(), sequences[:, distance:].flatten()
        is_pair = (one != 0) & (other != 0) & (one != other)
        pair = torch.stack([one[is_pair], other[is_pair]])
        pairs += [pair, pair.flip(0)]
        counts.append(torch.full((2 * pair.shape[1],), FADING ** (distance - 1)))
    matrix = torch.sparse_coo_tensor(torch.cat(pairs, 1), torch.cat(counts), (size, size), check_invariants=False)
    matrix = matrix.coalesce()
    return *matrix.indices(), matrix.values()


def _eigenvectors(product: Callable[[Tensor], Tensor], size: int, count: int) -> tuple[Tensor, Tensor]:
    """Find those of the largest eigenvalues of a symmetric (V, V): (V, `count`), or all there are, and their values."""
    basis = torch.randn(size, min(count + _SPARE, size))
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(product(basis)).Q.contiguous()  # by columns it would be 30 times slower
    values, turned = torch.linalg.eigh(basis.T @ product(basis))
    largest = values.abs().argsort(descending=True)[:count]
    return basis @ turned[:, largest], values[largest]

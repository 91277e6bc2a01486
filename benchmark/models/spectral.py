"""Directions for item vectors before training: items that the same people meet soon after each other lie together.

Vectors drawn at random tell nothing of an item that is met ten times, and a model of sequences spends most of its
epochs on finding out what is met beside what at all. A few eigenvectors say so within a second: those of the largest
eigenvalues of D^-1/2 A D^-1/2, where A counts pairs of items and D is its diagonal of row sums, are the spectral
embedding of a graph (Shi & Malik, PAMI 2000; Ng, Jordan & Weiss, NeurIPS 2001). They are found by subspace iteration
from a random start (Halko, Martinsson & Tropp, SIAM Review 2011), which is torch's `svd_lowrank`.

U users, T steps, V items with padding, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

FADING = 0.8
"""What a pair of items counts, as a share of one that is a step nearer."""
_ROUNDS = 4  # of subspace iteration, two multiplications each; more change nothing that training would notice
_SPARE = 16  # directions beyond those asked for, which make these exact


def spectral_directions(sequences: Tensor, item_count: int, width: int) -> Tensor:
    """Make a unit vector of every item of training sequences (U, T): (V, D), zero for what stands beside nothing.

    On the CPU, whatever the device: a GPU adds up in an order that changes. Draws from the global generator.
    """
    size = item_count + 1
    counts = _beside(sequences.cpu(), size)
    one, other = counts.indices()
    total = torch.zeros(size).index_add_(0, one, counts.values())
    shares = counts.values() / (total[one] * total[other]).sqrt()
    rank = min(width + _SPARE, size)
    vectors, values, _ = torch.svd_lowrank(_sparse(counts.indices(), shares, size), rank, niter=_ROUNDS)
    kept = (vectors * values.sqrt() * (total > 0)[:, None])[:, :width]
    return normalize(pad(kept, (0, width - kept.shape[1]))).to(sequences.device)


def _beside(sequences: Tensor, size: int) -> Tensor:
    """Count who is met beside whom, a pair by its distance: sparse (V, V)."""
    counts = _sparse(torch.empty(2, 0, dtype=torch.long), torch.empty(0), size)
    for distance in range(1, sequences.shape[1]):
        one, other = sequences[:, :-distance].flatten(), sequences[:, distance:].flatten()
        is_pair = (one != 0) & (other != 0) & (one != other)
        pairs = torch.stack([one[is_pair], other[is_pair]])
        both_ways = torch.cat([pairs, pairs.flip(0)], 1)
        weights = torch.full((both_ways.shape[1],), FADING ** (distance - 1))
        counts = (counts + _sparse(both_ways, weights, size)).coalesce()
    return counts


def _sparse(places: Tensor, values: Tensor, size: int) -> Tensor:
    return torch.sparse_coo_tensor(places, values, (size, size), check_invariants=False)

"""The graph of users and items: sums over neighbours, and products along edges, each the other's gradient.

Edges lie sorted by user and, in another order, by item (compressed sparse rows): a sum over neighbours is then a sum
over consecutive rows, for which torch's `embedding_bag` takes an eighth of the time of its own sparse product on a CPU.

U users, V items with padding, E edges, D width, R rows (users, or items), C columns (the others).
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn.functional import embedding_bag

if TYPE_CHECKING:
    from benchmark.data.met import Met
    from benchmark.data.split import Split


class Graph:
    """Who met which item, each pair an edge; its weights (E,) are in the order of `user` and `item`."""

    def __init__(self, met: Met) -> None:
        by_item, item_bounds = met.by_item
        self.user, self.item, self.user_bounds = met.user, met.item, met.bounds
        self.by_item, self.item_bounds, self.user_by_item = by_item, item_bounds, met.user[by_item]

    @classmethod
    def of(cls, split: Split) -> Graph:
        """Of who met what in training."""
        return cls(split.met)

    @property
    def user_degree(self) -> Tensor:
        """How many items each user met: (U,)."""
        return self.user_bounds.diff()

    @property
    def item_degree(self) -> Tensor:
        """How many users met each item: (V,)."""
        return self.item_bounds.diff()

    def to_users(self, items: Tensor, weight: Tensor) -> Tensor:
        """Sum the vectors of each user's items (V, D), times the weights of their edges (E,): (U, D)."""
        return _Sums.apply(items.float(), weight.float(), self, True)  # type: ignore[no-untyped-call]

    def to_items(self, users: Tensor, weight: Tensor) -> Tensor:
        """Sum the vectors of each item's users (U, D), times the weights of their edges (E,): (V, D)."""
        return _Sums.apply(users.float(), weight.float(), self, False)  # type: ignore[no-untyped-call]

    def products(self, users: Tensor, items: Tensor) -> Tensor:
        """Multiply the vectors (U, D) and (V, D) at the two ends of every edge: (E,)."""
        return _Products.apply(users.float(), items.float(), self)  # type: ignore[no-untyped-call]

    def sums(self, vectors: Tensor, weight: Tensor, *, is_to_users: bool) -> Tensor:
        """Sum without gradients: (C, D), (E,) to (R, D)."""
        if is_to_users:
            columns, bounds = self.item, self.user_bounds
        else:
            columns, bounds, weight = self.user_by_item, self.item_bounds, weight[self.by_item]
        return embedding_bag(columns, vectors, bounds, mode="sum", per_sample_weights=weight, include_last_offset=True)

    def ends(self, users: Tensor, items: Tensor) -> Tensor:
        """Products without gradients, and without a table of (E, D): (U, D), (V, D) to (E,)."""
        return torch.sparse.sampled_addmm(self.pattern, users, items.T, beta=0.0).values()

    @cached_property
    def pattern(self) -> Tensor:
        """Zeros where there are edges: a sparse (U, V)."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
            return torch.sparse_csr_tensor(
                self.user_bounds,
                self.item,
                torch.zeros(len(self.item), device=self.item.device),
                (len(self.user_bounds) - 1, len(self.item_bounds) - 1),
                check_invariants=False,
            )


class _Sums(Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: Tensor, graph: Graph, is_to_users: bool) -> Tensor:
        ctx.save_for_backward(vectors, weight)
        ctx.graph, ctx.is_to_users = graph, is_to_users
        return graph.sums(vectors, weight, is_to_users=is_to_users)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        vectors, weight = ctx.saved_tensors
        to_vectors = to_weight = None
        if ctx.needs_input_grad[0]:
            to_vectors = ctx.graph.sums(gradient, weight, is_to_users=not ctx.is_to_users)
        if ctx.needs_input_grad[1]:
            ends = (gradient, vectors) if ctx.is_to_users else (vectors, gradient)
            to_weight = ctx.graph.ends(*ends)
        return to_vectors, to_weight, None, None


class _Products(Function):
    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, graph: Graph) -> Tensor:
        ctx.save_for_backward(users, items)
        ctx.graph = graph
        return graph.ends(users, items)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        users, items = ctx.saved_tensors
        to_users = ctx.graph.sums(items, gradient, is_to_users=True)
        to_items = ctx.graph.sums(users, gradient, is_to_users=False)
        return to_users, to_items, None

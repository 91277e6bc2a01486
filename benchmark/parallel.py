"""Several processes that train one model, as `torchrun` starts them.

Each of the W ranks holds all data and the whole model. It computes its share of every batch and of every question;
gradients are added up, so that all ranks take the same step. Without torchrun there is one rank, and nothing is sent.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from itertools import count as numbers
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MEETINGS = numbers()


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Meet the other processes of torchrun for the length of the block; gives this rank's device.

    Within another such block it is that one's meeting that goes on.
    """
    if is_started_by_torchrun() and device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not is_started_by_torchrun() or dist.is_initialized():
        yield device
        return
    # Its functions have the group of the moment as a default. Imported later (AdamW does so, by way of torch._dynamo),
    # they would keep it and its threads beyond its end: one that dies with the interpreter may abort the process.
    import_module("torch.distributed.nn.functional")
    store, own, count = _store()
    # Keys of an earlier meeting are still there: whoever came first would take them for the others' of this one.
    meeting = PrefixStore(f"meeting {next(_MEETINGS)}", store)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=meeting, rank=own, world_size=count)
    try:
        yield device
    finally:
        dist.destroy_process_group()


@cache
def _store() -> tuple[Any, int, int]:
    """Find torchrun's store, this process's rank, and how many there are; one connection for all meetings."""
    found: tuple[Any, int, int] = next(rendezvous("env://"))
    return found


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many ranks there are: W."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process speaks for all of torchrun's, before and after they meet as well."""
    return int(os.environ.get("RANK", "0")) == 0


def share(rows: Tensor) -> Tensor:
    """Take this rank's rows of (N, ...): the ranks' shares, one after the other, are all rows, each once."""
    return rows.tensor_split(world())[rank()]


def gathered(rows: Tensor) -> list[Tensor]:
    """Every rank's rows (n, ...), in the order of ranks, which need not have as many; no gradient flows through it."""
    if world() == 1:
        return [rows]
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    lengths = [int(count) for count in counts]
    padded = rows.new_zeros(max(lengths), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return [part[:length] for part, length in zip(parts, lengths, strict=True)]


def joined(rows: Tensor) -> Tensor:
    """All ranks' rows in one tensor: (N, ...)."""
    return torch.cat(gathered(rows)) if world() > 1 else rows


def whole_batch(rows: Tensor) -> tuple[Tensor, slice]:
    """The batch (B, ...) that the ranks share out, and where in it this rank's rows stand.

    What a loss looks up of it (candidates of an in-batch softmax, say) is looked up by every rank in its own copy of
    the model, so gradients reach every candidate, whoever brought it.
    """
    parts = gathered(rows)
    before = sum(len(part) for part in parts[: rank()])
    return torch.cat(parts), slice(before, before + len(rows))


def total(value: Tensor) -> Tensor:
    """Add up over all ranks."""
    if world() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


def take_over_first(weights: Iterable[Tensor]) -> None:
    """Replace weights by the first rank's: another processor may make others of the same seed, in their last bits."""
    if world() > 1:
        for one in weights:
            dist.broadcast(one.detach(), src=0)


def add_up_gradients(whole: Iterable[Tensor], by_rows: Iterable[Tensor]) -> None:
    """Replace each gradient by its sum over all ranks, to the same bits on each; one that a rank lacks counts as 0.

    Of the weights `by_rows` only the rows of a gradient travel.
    """
    if world() == 1:
        return
    for one in by_rows:
        one.grad = _sum_of_rows(one)
    dense = [one for one in whole if one.requires_grad]
    flat = torch.cat([(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in dense])
    dist.all_reduce(flat)
    for one, summed in zip(dense, torch.split(flat, [one.numel() for one in dense]), strict=True):
        one.grad = summed.view_as(one)


def _sum_of_rows(weights: Tensor) -> Tensor:
    nothing = torch.zeros(1, 0, dtype=torch.int64, device=weights.device), weights.new_zeros(0, *weights.shape[1:])
    own = torch.sparse_coo_tensor(*nothing, weights.shape) if weights.grad is None else weights.grad
    own = own.coalesce()
    rows, values = joined(own.indices()[0]), joined(own.values())
    return torch.sparse_coo_tensor(rows[None], values, weights.shape).coalesce()

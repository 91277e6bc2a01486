"""What computes: a GPU where there is one, or what is asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_device(name: str | None) -> torch.device:
    """Take torch's word (`cpu`, `cuda`, `cuda:1`), or a GPU if there is one; RecipeError if it cannot compute here."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in {"cpu", "cuda"}:
            raise RecipeError(
                f"the benchmark does not compute on device {name!r}",
                hint="choose cpu, cuda, or one of several as cuda:1",
            )
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA says so with an assertion
        raise RecipeError(
            f"torch {torch.__version__} cannot compute on device {name!r}: {str(error).splitlines()[0]}",
            hint="choose cpu, or leave the device out to take a GPU where there is one",
        ) from error
    return device


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Have torch use so many threads for the length of the block; as many as it does if None."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tf32(device: torch.device, *, is_on: bool) -> Iterator[None]:
    """Let a GPU multiply float32 with 10 bits of mantissa for the length of the block, or do not let it.

    torch has one word for products of matrices, and one for cuDNN's convolutions and recurrent layers, which is on.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if is_on else "highest")
    torch.backends.cudnn.allow_tf32 = is_on
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch, or the system, had no memory left; on a CPU torch says so with a plain RuntimeError."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )

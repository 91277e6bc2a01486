"""What memory a model took, and what to lower where there was not enough."""

from __future__ import annotations

import resource
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmark.device import is_out_of_memory
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmark.settings import Settings

_RESET_PEAK = "5"  # proc(5), /proc/self/clear_refs


def forget_peak(device: torch.device) -> None:
    """Begin to measure anew; where the system cannot, the peak stays that of the whole process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> dict[str, int]:
    """The most that this process held, and of a GPU's memory, since `forget_peak`."""
    peaks = {"peak_memory_bytes": _peak_of_process()}
    if device.type == "cuda":
        peaks["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return peaks


@contextmanager
def names_what_to_lower(doing: str, settings: Settings) -> Iterator[None]:
    """Turn a lack of memory into an error that says which settings made it so large."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        names = ("chunk_scores", "width") if doing == "ranking" else ("batch_size", "width")
        sizes = [f"{name}={getattr(settings, name)}" for name in names]
        raise MicrolensError(
            f"out of memory while {doing} with {' and '.join(sizes)}: {str(error).splitlines()[0]}",
            hint=f"lower {' or '.join(names)}, as with --set {names[0]}={getattr(settings, names[0]) // 2}",
        ) from error


def _peak_of_process() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

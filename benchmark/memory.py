"""What memory there is, what a model took of it, and what to lower where it was not enough."""

from __future__ import annotations

import math
import os
import resource
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmark.device import is_out_of_memory
from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from benchmark.settings import Settings


class NoMemoryError(MicrolensError):
    """Training or ranking takes more memory than there is."""


LESS_DATA = "choose --device cpu where a GPU is too small; or take less data: --warm 20, or a smaller subset"
_RESET_PEAK = "5"  # proc(5), /proc/self/clear_refs
_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> float:
    """Memory that can still be had: a GPU's, or the machine's and, of that, what a container may take."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return min(_free_of_machine(), _free_of_container())


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
def tells_lack_of_memory(doing: str, hint: str = LESS_DATA) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to do about it."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        told = next(iter(str(error).splitlines()), "the system has none left")  # Python's own says nothing
        raise NoMemoryError(f"out of memory while {doing}: {told}", hint=hint) from error


def names_what_to_lower(doing: str, settings: Settings, names: Sequence[str]) -> AbstractContextManager[None]:
    """Turn a lack of memory into an error that names the settings that made it so large; a model may have none."""
    if not names:
        return tells_lack_of_memory(doing)
    sizes = " and ".join(f"{name}={getattr(settings, name)}" for name in names)
    return tells_lack_of_memory(
        f"{doing} with {sizes}",
        hint=f"lower {' or '.join(names)}, as with --set {names[0]}={max(1, getattr(settings, names[0]) // 2)}",
    )


def _free_of_machine() -> int:
    with suppress(OSError):
        return _counts(_MACHINE)["MemAvailable:"] * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")  # no Linux: all that there is


def _free_of_container() -> float:
    """What a control group (version 2) has left; files that it could drop from its cache are free."""
    try:
        limit = (_CONTAINER / "memory.max").read_text(encoding="ascii").strip()
        taken = int((_CONTAINER / "memory.current").read_text(encoding="ascii"))
        droppable = _counts(_CONTAINER / "memory.stat")["inactive_file"]
    except (OSError, KeyError):
        return math.inf
    return math.inf if limit == "max" else int(limit) - taken + droppable


def _counts(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: int(number) for name, number, *_ in lines}


def _peak_of_process() -> int:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

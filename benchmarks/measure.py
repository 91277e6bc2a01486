"""CPU seconds and peak memory of a job, taken in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    wall_s: float
    peak_mb: float
    value: Any
    """What the job gave back."""


def cost_of(job: Callable[..., Any], *arguments: Any) -> Cost:
    """Run a job in a fresh process, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measured, args=(theirs, job, arguments))
    process.start()
    cost: Cost = ours.recv()
    process.join()
    return cost


def _measured(pipe: Connection, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    value = job(*arguments)
    cost = Cost(
        cpu_s=time.process_time() - cpu,
        wall_s=time.perf_counter() - began,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        value=value,
    )
    pipe.send(cost)

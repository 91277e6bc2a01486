"""CPU seconds and peak memory of a job, taken in a process of its own, and of what that process starts."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    import redis

_LOOK_S = 0.02


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
    theirs.close()  # a job that fails says nothing: the end of the pipe does
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


def cost_of_command(arguments: list[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a program; start-up counts, and so does every child that it has waited for. `value`: its last line, as JSON.

    The peak is the sum of the peaks of its processes, which is no less than the peak of their sum. A program that
    fails has its words told in the CalledProcessError.
    """
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(arguments, stdout=said, stderr=said, env={**os.environ, **(environment or {})})
        peaks: dict[int, int] = {}
        watching = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
        watching.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        watching.join()
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if process.returncode:
        sys.stderr.write("\n".join([*lines, ""]))
        raise subprocess.CalledProcessError(process.returncode, arguments)
    value = json.loads(lines[-1]) if lines and lines[-1][:1] in "{[" else None
    return Cost(usage.ru_utime + usage.ru_stime, wall_s, sum(peaks.values()) / 1024, value)


def timed(job: Callable[[], object]) -> tuple[float, float]:
    """Do it in this process, and tell the wall and CPU seconds that it took."""
    began, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - began, time.process_time() - cpu


def redis_cpu_s(client: redis.Redis) -> float:
    """CPU seconds that a Redis has used since it was started."""
    used: dict[str, Any] = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _watch(pid: int, peaks: dict[int, int]) -> None:
    """Keep the highest resident set (KiB) of a process and of those below it for as long as it lives.

    `ru_maxrss` would not do: a child starts with what its parent had when it was forked.
    """
    while Path(f"/proc/{pid}/status").exists():
        for one in _tree(pid):
            # The last word counts: between fork and exec a child still tells its parent's.
            peaks[one] = high_water_kib(one) or peaks.get(one, 0)
        time.sleep(_LOOK_S)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # it ended meanwhile
            continue
        for child in children:
            yield from _tree(int(child))


def high_water_mb() -> float:
    """The most memory that this program has had, in MB; rusage would tell of its parent, too."""
    return high_water_kib(os.getpid()) / 1024


def high_water_kib(pid: int) -> int:
    """The highest resident set that a process has had; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)

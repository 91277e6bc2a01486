"""So many processes at once, each for one leg of one configuration: one that dies takes nothing with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Self

import torch

from benchmark.tuning.records import KILLED
from benchmark.tuning.worker import Leg, run_leg
from microlens.errors import DiskFullError, MicrolensError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from pathlib import Path
    from types import TracebackType

DEATHS = 3
"""A leg whose process dies so often in one epoch is given up: most likely it takes more memory than there is."""


_TRIES, _PAUSE_S = 20, 0.1


@dataclass
class _Running:
    leg: Leg
    process: BaseProcess
    device: str
    epochs_before: int


class Processes:
    """Runs legs; to be used with `with`, whose end ends them all.

    A server process imports torch once and forks for each leg, which therefore starts in milliseconds. It computes
    nothing itself, so there are no threads and no GPU for a fork to break.
    """

    def __init__(self, count: int, devices: list[str]) -> None:
        self.count = count
        self._devices = devices
        self._running: list[_Running] = []
        self._deaths: dict[Path, int] = {}
        self._context = multiprocessing.get_context("forkserver")
        # torch imports the second with its first optimiser, and takes seconds over it.
        self._context.set_forkserver_preload(["benchmark.tuning.worker", "torch._dynamo"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one in self._running:
            one.process.kill()
            one.process.join()

    @property
    def legs(self) -> list[Leg]:
        return [one.leg for one in self._running]

    def start(self, leg: Leg) -> None:
        """Begin, on the device that fewest are at work on."""
        busy = [one.device for one in self._running]
        device = min(self._devices, key=busy.count)
        epochs = len(leg.record.read().curves)
        self._running.append(_Running(leg, self._forked(leg, device), device, epochs))

    def _forked(self, leg: Leg, device: str) -> BaseProcess:
        """Start a process; a server that was killed is started again, once the system has taken it away."""
        for _ in range(_TRIES):
            process = self._context.Process(target=run_leg, args=(leg, device))
            with suppress(ConnectionError, EOFError):
                process.start()
                return process
            time.sleep(_PAUSE_S)
        raise MicrolensError(
            f"the server that starts processes ended {_TRIES} times in a row",
            hint="look for what kills processes here, such as a lack of memory, and run the same command again",
        )

    def wait(self, timeout_s: float) -> list[Leg]:
        """Legs that have ended since, well or not; after a while none. DiskFullError if one could not write."""
        wait([one.process.sentinel for one in self._running], timeout=timeout_s)
        ended = [one for one in self._running if not one.process.is_alive()]
        self._running = [one for one in self._running if one not in ended]
        for one in ended:
            one.process.join()
            self._judge(one)
            one.process.close()
        return [one.leg for one in ended]

    def _judge(self, ended: _Running) -> None:
        """Record the death of one that came to nothing again."""
        leg, code = ended.leg, ended.process.exitcode or 0
        if code == DiskFullError.exit_code:
            raise DiskFullError(f"nothing more can be written to {leg.folder}", hint=DiskFullError.usual_hint)
        record = leg.record.read()
        if record.trouble or record.is_over or len(record.curves) >= leg.until:
            return
        has_moved = len(record.curves) > ended.epochs_before
        deaths = self._deaths[leg.record.path] = 1 if has_moved else self._deaths.get(leg.record.path, 0) + 1
        if deaths >= DEATHS:
            how = f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with exit code {code}"
            message = (
                f"its process ended {how} {deaths} times in epoch {len(record.curves) + 1}; if by lack of memory, "
            )
            leg.record.write(record.with_trouble(KILLED, message + "try smaller settings or fewer --processes"))


def devices_of(place: torch.device) -> list[str]:
    """All GPUs where none is named by its number."""
    if place.type == "cuda" and place.index is None:
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [str(place)]


def usual_count(place: torch.device, threads: int) -> int:
    """One a GPU; or as many as there are cores for."""
    if place.type == "cuda":
        return len(devices_of(place))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // threads)

"""Train one configuration up to an epoch, in a process of its own. It shares nothing with others but files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, cast

import torch

from benchmark.checkpoint import Checkpoint, read_checkpoint
from benchmark.evaluate import evaluate
from benchmark.memory import NoMemoryError, forget_peak, names_what_to_lower, peak_bytes, tells_lack_of_memory
from benchmark.metrics import summarise
from benchmark.model_run import seeded, train
from benchmark.models import MODELS
from benchmark.train import DivergedError, is_over
from benchmark.tuning.questions import read_questions
from benchmark.tuning.records import DIVERGED, FAILED, NO_MEMORY, RecordFile
from microlens.errors import DiskFullError, MicrolensError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from benchmark.data.side import Side
    from benchmark.data.split import Split
    from benchmark.settings import Settings
    from benchmark.tuning.records import Record

_LOOK_EVERY_S = 0.5  # less than a new server takes to start, so no two workers write the same files


@dataclass(frozen=True)
class Leg:
    """What a worker is told: a configuration, and how far to train it."""

    model: str
    settings: Settings
    seed: int
    until: int
    questions: Path
    """Written by `write_questions`: no worker is given the release's interactions."""
    side: Side
    folder: Path
    """Where records and checkpoints lie."""
    made_of: Mapping[str, Any]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.folder / "models", self.made_of)

    @cached_property
    def record(self) -> RecordFile:
        return RecordFile(self.folder / "configurations" / f"{self.checkpoint.path.stem}.json", self.made_of)


def run_leg(leg: Leg, device: str) -> None:
    """Train, and record every epoch; what goes wrong with this configuration is recorded and costs no other one."""
    _end_with_parent()
    _go_first_if_memory_runs_out()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C for all of us
    try:
        with names_what_to_lower("training", leg.settings, MODELS[leg.model].sizes_of_training):
            _train(leg, torch.device(device))
    except DivergedError as error:
        _record_trouble(leg, DIVERGED, error.message)
    except NoMemoryError as error:
        _record_trouble(leg, NO_MEMORY, error.message)
    except MicrolensError as error:
        _record_trouble(leg, FAILED, str(error))
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            sys.exit(DiskFullError.exit_code)
        _record_trouble(leg, FAILED, repr(error))
    except Exception as error:  # noqa: BLE001 - a bug that one configuration wakes is told, and the others go on
        _record_trouble(leg, FAILED, f"{error!r}\n{traceback.format_exc()}")


def _train(leg: Leg, device: torch.device) -> None:
    settings, file = leg.settings, leg.record
    with tells_lack_of_memory("reading what is trained on"):
        split = read_questions(leg.questions, device)
    before = file.read()
    curves = _curves_so_far(leg, before)

    def hear(event: str, facts: Mapping[str, object]) -> None:
        """Write the next epoch down; not one that is known, since what was dropped is trained again."""
        if event != "epoch" or facts["epoch"] != len(curves) + 1:
            return
        told = {
            name: cast("float", value) for name, value in facts.items() if name in {"loss", "seconds"} or "@" in name
        }
        curves.append(told)
        ends = is_over(len(curves), cast("int", facts["best_epoch"]), settings)
        file.write(replace(before, curves=curves, is_over=ends, peak_memory_bytes=_peak(device)))

    forget_peak(device)
    MODELS[leg.model].read(leg.side, settings)
    with seeded(leg.seed, device, settings.threads):
        model = MODELS[leg.model].build(split, settings, leg.side)
        if MODELS[leg.model].task is None:
            with names_what_to_lower("ranking", settings, MODELS[leg.model].sizes_of_ranking):
                asked = _asked_once(model, split, settings)
            file.write(replace(before, curves=[asked], is_over=True))
            return
        fitted, _ = train(
            leg.model,
            model,
            split,
            settings,
            seed=leg.seed,
            progress=hear,
            checkpoint=leg.checkpoint,
            until=leg.until,
        )
    if fitted.epochs >= len(curves):
        ends = is_over(fitted.epochs, fitted.best_epoch, settings)
        file.write(replace(before, curves=list(fitted.curves), is_over=ends, peak_memory_bytes=_peak(device)))


def _curves_so_far(leg: Leg, before: Record) -> list[dict[str, float]]:
    """What is known of every epoch so far: a process may have been killed between a checkpoint and its record."""
    saved = read_checkpoint(leg.checkpoint.path, is_mapped=True)["curves"] if leg.checkpoint.path.exists() else []
    if len(saved) > len(before.curves):
        leg.record.write(replace(before, curves=list(saved)))
    return list(max(saved, before.curves, key=len))


def _asked_once(model: Any, split: Split, settings: Settings) -> dict[str, float]:
    began = time.perf_counter()
    ranks = evaluate(model, split.validation, chunk_scores=settings.chunk_scores)
    return {**summarise(ranks, cutoffs=(10,)), "seconds": time.perf_counter() - began}


def _record_trouble(leg: Leg, trouble: str, message: str) -> None:
    leg.record.write(leg.record.read().with_trouble(trouble, message))


def _peak(device: torch.device) -> int:
    """Of a GPU's memory where there is one: that is what runs out."""
    peaks = peak_bytes(device)
    return peaks.get("peak_gpu_memory_bytes", peaks["peak_memory_bytes"])


def _end_with_parent() -> None:
    """Whatever ends the search, or the server that forked us, ends this process with it, in the midst of an epoch."""
    parent, server = multiprocessing.parent_process(), os.getppid()
    if parent is None:
        return

    def watch() -> None:
        while not wait([parent.sentinel], _LOOK_EVERY_S) and os.getppid() == server:
            pass
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _go_first_if_memory_runs_out() -> None:
    """Have Linux kill this process, which took the memory, before any other."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

"""What a run leaves behind of one model and seed: first to go on from, in the end to recommend from.

`<model>-<seed>-<digest>.pt`, where the digest is that of everything the result follows from (`made_of`). Other
settings, data or code have other files: nothing is taken for what it is not, and nothing is lost by trying others.

A file holds `made_of` and, while the model learns, its last and its best state, the optimiser's, and the curves; once
it is finished, the best state, the result and every user's rank. It is read with `weights_only=True`: it holds no code.
No state of random numbers is in it either: every epoch seeds them anew, by seed, epoch and rank.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import torch

from benchmark.device import is_out_of_memory
from microlens.errors import CorruptDataError, MicrolensError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DIGITS = 8  # of a name; `load` compares all of `made_of`


class Checkpoint:
    """One file; at every moment the old one or the new one, whenever the process dies."""

    def __init__(self, folder: Path, made_of: Mapping[str, Any]) -> None:
        self.made_of = dict(made_of)
        self.stem = f"{made_of['model']}-{made_of['seed']}-"
        self.path = folder / f"{self.stem}{sha256_of_json(made_of)[:DIGITS]}.pt"

    def load(self, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """What was saved last; None if nothing was."""
        if not self.path.exists():
            return None
        state = read_checkpoint(self.path, device)
        if state["made_of"] != self.made_of:
            raise CorruptDataError(
                f"{self.path} is of another run: {', '.join(differences(state['made_of'], self.made_of))}",
                hint="move it away, and run the same command again",
            )
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        save_whole({"made_of": self.made_of, **state}, self.path)

    def nearest_other(self) -> tuple[str, list[str]] | None:
        """The file of the same model and seed that differs least from what is wanted now, and in what.

        One that cannot be read is passed over: nothing is taken from it.
        """
        found = []
        for path in sorted(self.path.parent.glob(f"{self.stem}*.pt")):
            if path != self.path:
                with suppress(MicrolensError, OSError):
                    other = read_checkpoint(path, is_mapped=True)
                    found.append((path.name, differences(other["made_of"], self.made_of)))
        return min(found, key=lambda other: len(other[1]), default=None)


def save_whole(content: Mapping[str, Any], path: Path) -> None:
    """Write what `torch.load` reads; a reader sees an old file or a new one. OSError where the disk has no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    try:
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:
        # A file that cannot be written to makes torch fail over what it then misses in it; the cause is the context.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)  # what a full disk has left


def read_checkpoint(path: Path, device: torch.device | str = "cpu", *, is_mapped: bool = False) -> dict[str, Any]:
    """Read a file that `Checkpoint.save` wrote, and nothing that is more than numbers and words.

    If `is_mapped`, tensors are read when they are looked at.
    """
    if not path.is_file():
        raise NotReadyError(
            f"there is no checkpoint {path}",
            hint="`microlens-build benchmark RELEASE` writes them under results/<release>/models/",
        )
    try:
        state = torch.load(path, map_location=device, weights_only=True, mmap=is_mapped)
    except pickle.UnpicklingError as error:
        raise CorruptDataError(
            f"{path} holds more than tensors, numbers and words, or is no checkpoint: it is not opened",
            hint="name a file that `microlens-build benchmark` wrote; delete one that is damaged",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise  # it is the machine that is too small, and nothing is wrong with the file
        raise CorruptDataError(
            f"{path} cannot be read as a checkpoint: it is cut short, damaged, or another file",
            hint="delete it, and train again with `microlens-build benchmark`",
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("made_of"), dict):
        raise CorruptDataError(f"{path} is no checkpoint of the benchmark", hint="name a file under results/")
    return state


def differences(was: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Say what differs, setting by setting: `width 64, now 32`. One that either does not tell is passed over."""
    settings = [one.get("settings", {}) for one in (was, wanted)]
    both = settings[0].keys() & settings[1].keys()
    was, wanted = (
        {**one, **{name: told[name] for name in told if name in both}, "settings": None}
        for one, told in zip((was, wanted), settings, strict=True)
    )
    names = [name for name in {**was, **wanted} if was.get(name) != wanted.get(name)]
    return [f"{name} {_short(was.get(name))}, now {_short(wanted.get(name))}" for name in names]


def sha256_of_json(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _short(value: object) -> str:
    return str(value)[:12]

"""What a result follows from: model, seed, settings, data, code, and what it was computed with."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmark.data.release import manifest_sha256
from benchmark.models import MODELS, settings_read
from benchmark.parallel import world
from microlens.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.settings import Settings

HOME = Path(__file__).parent
NO_RESULT_FOLLOWS_FROM = (
    # what comes before: the features that are made are among the inputs themselves
    "data/decoding.py",
    "data/feature_draft.py",
    "encoders",
    "feature_import.py",
    "features.py",
    # what comes after: results are told, compared, and used
    "compare.py",
    "groups.py",
    "leaderboard.py",
    "paper",
    "read_results.py",
    "recommend.py",
    "reports",
    "reproduce.py",
    "tensorboard.py",
    # what is around: the search for settings trains as `benchmark.run` does
    "tune.py",
    "tuning",
)
"""Modules and packages whose code may change without anything being trained anew. All others are hashed, a new one at
once; a test holds this list against what `benchmark.run` imports."""


def made_of(model: str, seed: int, settings: Settings, release: Path, device: torch.device) -> dict[str, Any]:
    """Whatever differs here may give another result; what is the same gives the same, on one machine to the bit."""
    return {
        "model": model,
        "seed": seed,
        "settings": settings_read(model, settings),
        **read_by(model, settings, release),
        "code_sha256": code_sha256(),
        "code_version": code_version(),
        "torch_version": str(torch.__version__),  # its own class is no plain word
        "device": device.type,
        "processes": world(),
    }


def code_version() -> str:
    try:
        return version("microlens-build")
    except PackageNotFoundError:  # run from a checkout
        return "unreleased"


@cache
def code_sha256(home: Path = HOME) -> str:
    """Hash the modules that results follow from: in a checkout the version stays while they change."""
    return _sha256_of_lines(f"{path.relative_to(home)} {sha256_of(path)}" for path in hashed_modules(home))


def hashed_modules(home: Path = HOME) -> list[Path]:
    """All of the benchmark's but those of NO_RESULT_FOLLOWS_FROM."""
    left_out = {home / name for name in NO_RESULT_FOLLOWS_FROM}
    return [path for path in sorted(home.rglob("*.py")) if not left_out & {path, *path.parents}]


def read_by(model: str, settings: Settings, release: Path) -> dict[str, str | None]:
    """Hash what a model reads, wherever it lies and whatever its folder is called there.

    `data_sha256`: the tables and the manifest; `features_sha256`: the manifest of the frozen features of a model that
    reads any, None for others.
    """
    tables = [f"{name} {_file_sha256(release / 'data' / f'{name}.parquet')}" for name in ("interactions", "items")]
    has_some = MODELS[model].reads_features
    return {
        "data_sha256": _sha256_of_lines([*tables, f"release {manifest_sha256(release)}"]),
        "features_sha256": manifest_sha256(release / "features" / settings.features) if has_some else None,
    }


def _file_sha256(path: Path) -> str:
    state = path.stat()
    return _sha256_of_state(path, state.st_ino, state.st_size, state.st_mtime_ns)


@cache
def _sha256_of_state(path: Path, *state: int) -> str:  # noqa: ARG001 - a file that has changed is read again
    """Read a table once, however many models and seeds follow from it."""
    return sha256_of(path)


def _sha256_of_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

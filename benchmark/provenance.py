"""What a result follows from: model, seed, settings, data, code, and what it was computed with."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmark.data.release import manifest_sha256
from benchmark.parallel import world
from microlens.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.settings import Settings

HOME = Path(__file__).parent
NO_RESULT_FOLLOWS_FROM = (
    # what comes before: the features that are made, and the settings, are among the inputs themselves
    "data/decoding.py",
    "data/feature_draft.py",
    "encoders",
    "feature_import.py",
    "features.py",
    "presets",
    # what comes after: results are told, compared, and used
    "compare.py",
    "groups.py",
    "paper",
    "recommend.py",
    "report.py",
    "reports",
    "reproduce.py",
    "stored.py",
    "tensorboard.py",
)
"""Modules and packages whose code may change without anything being trained anew. All others are hashed, a new one at
once; a test holds this list against what `benchmark.run` imports."""


def made_of(model: str, seed: int, settings: Settings, release: Path, device: torch.device) -> dict[str, Any]:
    """Whatever differs here may give another result; what is the same gives the same, on one machine to the bit."""
    return {
        "model": model,
        "seed": seed,
        "settings": asdict(settings),
        "data_sha256": data_sha256(release, settings),
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


def data_sha256(release: Path, settings: Settings) -> str:
    """Hash the tables that are read, and the manifests of the release and of those features that the settings name."""
    named = {str(value) for value in asdict(settings).values()}
    folders = [folder for folder in sorted((release / "features").glob("*")) if folder.name in named]
    tables = [f"{name} {sha256_of(release / 'data' / f'{name}.parquet')}" for name in ("interactions", "items")]
    return _sha256_of_lines([*tables, *(f"{one.name} {manifest_sha256(one)}" for one in (release, *folders))])


def _sha256_of_lines(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

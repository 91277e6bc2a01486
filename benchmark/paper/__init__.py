"""What the MicroLens paper reports, row by row, with the names that its rows have here: tables.yaml."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

SOURCE = "Ni et al., A Content-Driven Micro-Video Recommendation Dataset at Scale (2023)"
FLOORS = ("popularity", "itemknn")
"""Models of ours that every other one should beat; the paper has none."""
DATASETS = {"MicroLens-100K": 100_000, "MicroLens-1M": 1_000_000}
"""Users of the paper's own releases."""


@dataclass(frozen=True)
class PublishedRow:
    kind: str
    """The class of models, or the setting, that the table puts the row under."""
    label: str
    values: dict[str, float]
    """By metric."""
    model: str | None = None
    """Its name in our registry; None for one that learns its video encoder end to end."""
    warm: int = 0
    """Items with fewer interactions were removed."""


@dataclass(frozen=True)
class PublishedTable:
    number: str
    title: str
    dataset: str
    metrics: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    notes: tuple[str, ...]
    """What is odd about its numbers."""

    @property
    def models(self) -> tuple[str, ...]:
        """Those of our names that have a row, each once."""
        return tuple(dict.fromkeys(row.model for row in self.rows if row.model))

    @property
    def warm(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(row.warm for row in self.rows))


@cache
def published_tables() -> dict[str, PublishedTable]:
    """By number, in the paper's order."""
    text = (files("benchmark.paper") / "tables.yaml").read_text(encoding="utf-8")
    return {number: _table(number, told) for number, told in yaml.safe_load(text).items()}


def nearest_dataset(users: int) -> str:
    """Name the paper's release of the most similar size: a third of a million users lies between the two."""
    return min(DATASETS, key=lambda name: abs(math.log(max(users, 1) / DATASETS[name])))


def _table(number: str, told: dict[str, Any]) -> PublishedTable:
    metrics = tuple(told["metrics"])
    rows = [PublishedRow(**row | {"values": dict(zip(metrics, row["values"], strict=True))}) for row in told["rows"]]
    return PublishedTable(number, told["title"], told["dataset"], metrics, tuple(rows), tuple(told["notes"]))

"""What filters would drop, tried on what nodes measured: nothing is changed, and no media file is read."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from filtering.early import Thresholds
from filtering.verdict import FILTERS, Measured, decide, objections
from integration.engines import open_engine
from integration.merge import add_inputs, read_inputs
from microlens.errors import RecipeError
from microlens.recipe import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from integration.merge import Inputs
    from microlens.recipe import Filters, Recipe
    from microlens.records import Verdict
    from microlens.runs import Run
    from microlens.settings import Settings

_PREFIX = "filters."


@dataclass(frozen=True, slots=True)
class Sample:
    """A video that would be dropped."""

    video_id: str
    title: str | None
    """Hostile text."""
    measured: float | None
    threshold: float | None
    detail: str | None
    cover_sha256: str | None
    twin: Sample | None = None
    """Of a duplicate: the copy that would be kept."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """The videos that would be dropped for one reason."""

    reason: str
    filter: str
    count: int
    """Of which this is the first reason: over all reasons, and those that are kept, each video counts once."""
    share: float
    """Of all videos that were found, 0 to 1."""
    applies_to: int
    """The same whichever reason comes before it; duplicates are looked for among videos that pass all else."""
    count_now: int
    """By the thresholds of the run's recipe."""
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """All that a trial of filters tells; each video found is kept or in one of `dropped`."""

    run: str
    filters: dict[str, Any]
    """As they were tried."""
    filters_now: dict[str, Any]
    """Of the run's recipe."""
    found: int
    kept: int
    kept_now: int
    dropped: tuple[Dropped, ...]
    """In the filters' order, within a filter the most frequent first."""


def changed_filters(recipe: Recipe, changes: Iterable[str]) -> Filters:
    """A recipe's filters with changes such as `filters.min_title_characters=5`; RecipeError names what is wrong."""
    filters = recipe.filters.model_dump(mode="json")
    for change in changes:
        key, is_there, value = change.partition("=")
        if not is_there or not key.startswith(_PREFIX):
            raise RecipeError(
                f"{change!r} changes no filter", hint="give a key and a value, such as filters.min_title_characters=5"
            )
        try:
            filters[key.removeprefix(_PREFIX)] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"the value of {change!r} cannot be read", hint="give a number or a word") from error
    told = yaml.safe_dump({**recipe.model_dump(mode="json"), "filters": filters}, allow_unicode=True)
    return parse_recipe(told, source="what was set").filters


def try_filters(run: Run, settings: Settings, filters: Filters, *, samples: int = 8) -> Trial:
    """Decide on every video that is known so far, with up to `samples` videos a reason, drawn by the recipe's seed.

    The crawl need not be finished; NotReadyError if nothing is crawled yet.
    """
    inputs = read_inputs(run)
    rows = _measured(run, settings, inputs)
    seeds, thresholds = run.recipe.seeds, Thresholds.of(filters)
    verdicts = decide(rows, thresholds, seeds)
    thresholds_now = Thresholds.of(run.recipe.filters)
    now = verdicts if thresholds_now == thresholds else decide(rows, thresholds_now, seeds)
    objected = [drop for row in rows for drop in objections(row, thresholds, seeds)]
    applies = Counter(drop.reason for drop in objected)
    counts, counts_now = (Counter(found.reason for found in some) for some in (verdicts, now))
    filter_of = {drop.reason: drop.filter for drop in objected}
    filter_of |= {found.reason: found.filter for found in (*verdicts, *now) if found.reason and found.filter}
    covers = {row["video_id"]: row["sha256"] for row in inputs.assets.to_pylist() if row["kind"] == "cover"}
    titles = {row.video_id: row.title for row in rows}

    def sample(found: Verdict) -> Sample:
        video = found.video_id
        kept = found.twin_of
        twin = Sample(kept, titles[kept], None, None, None, covers.get(kept)) if kept is not None else None
        return Sample(video, titles[video], found.measured, found.threshold, found.detail, covers.get(video), twin)

    def dropped(reason: str) -> Dropped:
        own = (found for found in verdicts if found.reason == reason)
        drawn = sorted(own, key=lambda found: _lot(run.recipe.seed, found.video_id))[:samples]
        return Dropped(
            reason=reason,
            filter=filter_of[reason],
            count=counts[reason],
            share=round(counts[reason] / len(rows), 6),
            applies_to=max(applies[reason], counts[reason]),
            count_now=counts_now[reason],
            samples=tuple(map(sample, drawn)),
        )

    order = sorted(filter_of, key=lambda reason: (FILTERS.index(filter_of[reason]), -counts[reason], reason))
    return Trial(
        run=run.run_id,
        filters=filters.model_dump(mode="json"),
        filters_now=run.recipe.filters.model_dump(mode="json"),
        found=len(rows),
        kept=counts[None],
        kept_now=counts_now[None],
        dropped=tuple(map(dropped, order)),
    )


def _measured(run: Run, settings: Settings, inputs: Inputs) -> list[Measured]:
    scratch = run.folder / "tmp"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trial-", dir=scratch) as name:
        folder = Path(name)
        folder.chmod(scratch.stat().st_mode)  # closed to others it is of no use to an engine that is one
        with open_engine(settings, folder) as engine:
            add_inputs(engine, inputs)
            for step in ("videos", "measured"):
                engine.run(step, folder / f"{step}.parquet")
            return [Measured(**row) for row in engine.query("SELECT * FROM measured ORDER BY video_id").to_pylist()]


def _lot(seed: int, video_id: str) -> str:
    return hashlib.sha256(f"{seed}\n{video_id}".encode()).hexdigest()

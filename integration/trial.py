"""What filters would drop, tried on what nodes measured: nothing is changed, and no media file is read."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import yaml

from filtering.early import Thresholds
from filtering.verdict import FILTERS, decide, objections
from integration.engines import open_engine
from integration.merge import add_inputs, measured_rows, read_inputs
from microlens.errors import RecipeError
from microlens.recipe import parse_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from integration.engines import Engine
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
    scratch = run.folder / "tmp"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="trial-", dir=scratch) as name:
        folder = Path(name)
        folder.chmod(scratch.stat().st_mode)  # closed to others it is of no use to an engine that is one
        with open_engine(settings, folder) as engine:
            add_inputs(engine, read_inputs(run, folder))
            for step in ("videos", "measured"):
                engine.run(step, folder / f"{step}.parquet")
            return _try(run, filters, engine, folder / "measured.parquet", samples)


def _try(run: Run, filters: Filters, engine: Engine, measured: Path, samples: int) -> Trial:
    seeds, thresholds = run.recipe.seeds, Thresholds.of(filters)
    verdicts = decide(measured_rows(measured), thresholds, seeds)
    thresholds_now = Thresholds.of(run.recipe.filters)
    now = verdicts if thresholds_now == thresholds else decide(measured_rows(measured), thresholds_now, seeds)
    counts, counts_now = (Counter(found.reason for found in some) for some in (verdicts, now))
    applies: Counter[str] = Counter()
    filter_of = {found.reason: found.filter for found in (*verdicts, *now) if found.reason and found.filter}
    for row in measured_rows(measured):
        for drop in objections(row, thresholds, seeds):
            applies[drop.reason] += 1
            filter_of[drop.reason] = drop.filter
    drawn = {
        reason: heapq.nsmallest(
            samples,
            (found for found in verdicts if found.reason == reason),
            key=lambda found: _lot(run.recipe.seed, found.video_id),
        )
        for reason in filter_of
    }
    told = _told(engine, [name for some in drawn.values() for one in some for name in (one.video_id, one.twin_of)])

    def sample(found: Verdict) -> Sample:
        title, cover = told[found.video_id]
        twin = None
        if found.twin_of is not None:
            twin_title, twin_cover = told[found.twin_of]
            twin = Sample(found.twin_of, twin_title, None, None, None, twin_cover)
        return Sample(found.video_id, title, found.measured, found.threshold, found.detail, cover, twin)

    def dropped(reason: str) -> Dropped:
        return Dropped(
            reason=reason,
            filter=filter_of[reason],
            count=counts[reason],
            share=round(counts[reason] / len(verdicts), 6),
            applies_to=max(applies[reason], counts[reason]),
            count_now=counts_now[reason],
            samples=tuple(map(sample, drawn[reason])),
        )

    order = sorted(filter_of, key=lambda reason: (FILTERS.index(filter_of[reason]), -counts[reason], reason))
    return Trial(
        run=run.run_id,
        filters=filters.model_dump(mode="json"),
        filters_now=run.recipe.filters.model_dump(mode="json"),
        found=len(verdicts),
        kept=counts[None],
        kept_now=counts_now[None],
        dropped=tuple(map(dropped, order)),
    )


def _told(engine: Engine, video_ids: Iterable[str | None]) -> dict[str, tuple[str | None, str | None]]:
    """Title and hash of the cover's file of these videos."""
    engine.add_table("wanted", pa.table([pa.array(video_ids, pa.string())], names=["video_id"]))
    rows = engine.query(
        "SELECT measured.video_id, measured.title, asset.sha256 FROM measured "
        "LEFT JOIN asset ON asset.video_id = measured.video_id AND asset.kind = 'cover' "
        "WHERE measured.video_id IN (SELECT video_id FROM wanted)"
    )
    return {row["video_id"]: (row["title"], row["sha256"]) for row in rows.to_pylist()}


def _lot(seed: int, video_id: str) -> str:
    return hashlib.sha256(f"{seed}\n{video_id}".encode()).hexdigest()

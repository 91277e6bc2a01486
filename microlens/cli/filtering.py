"""The work of `filter`: a trial told in words, as JSON or as a page with pictures; or the decision itself."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from microlens.cli.output import print_funnel, print_json
from microlens.cli.recrawl import named_run
from microlens.errors import RecipeError
from microlens.recipe import load_recipe
from microlens.runs import mark_used, open_or_create
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.trial import Sample, Trial
    from microlens.cli.reporter import Reporter
    from microlens.runs import Run
    from microlens.settings import Settings

_JPEG = b"\xff\xd8\xff"
_MAX_PICTURE_BYTES = 1 << 18
_TITLE = 60


def apply_filters(
    target: Path | None, settings: Settings, *, is_trying: bool, reporter: Reporter, as_json: bool
) -> None:
    """Take over the recipe, if its file is given, and make the tables by its filters; those of others stay as they are.

    RecipeError if options of a trial are given: what is published follows from the recipe alone.
    """
    from integration.merge import integrate

    if is_trying:
        raise RecipeError(
            "--set, --samples and --html are for a trial", hint="add --dry-run, or write the threshold into the recipe"
        )
    run = named_run(target, settings)
    if target is not None and target.is_file():
        run.ledger.close()
        run, _ = open_or_create(load_recipe(target), settings)
    mark_used(run)
    manifest, is_new = integrate(run, settings, lambda step: reporter.tick("filter", lambda: {"step": step}))
    if as_json:
        print_json({"run": run.run_id, "is_new": is_new, "funnel": manifest.counters})
        return
    reporter.note("filtered" if is_new else "nothing to do: the tables are those of this recipe already")
    print_funnel(manifest.counters)


def show_trial(
    target: Path | None,
    settings: Settings,
    *,
    changes: Sequence[str],
    samples: int,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Show what the filters of the run, or of a recipe's file, with these changes would drop."""
    from integration.contact_sheet import contact_sheet
    from integration.trial import changed_filters, try_filters

    if sheet is not None and (sheet.is_dir() or not sheet.absolute().parent.is_dir()):
        raise RecipeError(
            f"--html {sheet} is no file that could be written", hint="name a file in a folder that exists"
        )
    run = named_run(target, settings)
    recipe = load_recipe(target) if target is not None and target.is_file() else run.recipe
    trial = try_filters(run, settings, changed_filters(recipe, changes), samples=samples)
    if sheet is not None:
        write_atomically(sheet, contact_sheet(trial, asyncio.run(_draw_covers(run, trial))))
    if as_json:
        print_json(asdict(trial) | {"html": str(sheet) if sheet is not None else None})
        return
    _print_trial(trial)
    if sheet is not None:
        sys.stdout.write(f"\ncovers and titles: {sheet}\n")


async def _draw_covers(run: Run, trial: Trial) -> dict[str, bytes]:
    """Small pictures of the samples' covers, by SHA-256: drawn anew in the process that decodes the files of strangers.

    A cover that is no longer in the store, or cannot be decoded, has none.
    """
    from download_nodes.measuring import Measurer

    pictures = {}
    with tempfile.TemporaryDirectory(prefix="covers-", dir=run.folder / "tmp") as name:
        async with Measurer() as measurer:
            for sha256 in sorted(set(_covers(trial))):
                if not run.store.has(sha256):
                    continue
                cover, drawn = Path(name) / sha256, Path(name) / f"{sha256}.jpg"
                run.store.link(sha256, cover)
                word = await measurer.draw_thumbnail(cover, drawn)
                if word is None and drawn.stat().st_size <= _MAX_PICTURE_BYTES:
                    picture = drawn.read_bytes()
                    # That process may have been taken over by a file: what it gives is looked at as well.
                    if picture.startswith(_JPEG):
                        pictures[sha256] = picture
    return pictures


def _covers(trial: Trial) -> Iterator[str]:
    for dropped in trial.dropped:
        for sample in dropped.samples:
            for one in (sample, sample.twin):
                if one is not None and one.cover_sha256 is not None:
                    yield one.cover_sha256


def _print_trial(trial: Trial) -> None:
    sys.stdout.write(f"{trial.run}: nothing is changed by this trial\n")
    for key, value in trial.filters.items():
        now = trial.filters_now[key]
        sys.stdout.write(f"  {key:<24} {value}" + (f"  (now {now})" if now != value else "") + "\n")
    sys.stdout.write(
        f"\n{'reason':<24} {'filter':<11} {'drops':>11} {'share':>8} {'applies to':>11} {'drops now':>11}\n"
    )
    for dropped in trial.dropped:
        sys.stdout.write(
            f"{dropped.reason:<24} {dropped.filter:<11} {dropped.count:>11,} {dropped.share:>8.2%} "
            f"{dropped.applies_to:>11,} {dropped.count_now:>11,}\n"
        )
        for sample in dropped.samples:
            sys.stdout.write(f"    {_told(sample)}\n")
    share = trial.kept / trial.found
    sys.stdout.write(f"{'kept':<36} {trial.kept:>11,} {share:>8.2%} {'':>11} {trial.kept_now:>11,}\n")


def _told(sample: Sample) -> str:
    """One line; a site's text is shown without its control characters."""
    parts = [_shown(sample.video_id), _shown(sample.title)]
    if sample.measured is not None:
        parts.append(f"measured {sample.measured:g}")
    if sample.detail is not None:
        parts.append(_shown(sample.detail))
    if sample.twin is not None:
        parts.append(f"kept: {_shown(sample.twin.video_id)}  {_shown(sample.twin.title)}")
    return "  ".join(parts)


def _shown(text: str | None) -> str:
    return "".join(letter for letter in text or "-" if letter.isprintable())[:_TITLE]

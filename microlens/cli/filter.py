"""`microlens-build filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import (
    AsJson,
    EngineName,
    Master,
    MemoryLimit,
    TemporaryDir,
    Threads,
    settings_for_steps,
)

NAME = "filter"
USUAL_SAMPLES = 8


def command(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN|RECIPE]",
            help="A run, or its recipe's file, whose filters are taken; the one used last if left out.",
        ),
    ] = None,
    *,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each filter would drop, with samples; change nothing.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="With --dry-run: try another value, as filters.min_title_characters=5."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=0, help=f"With --dry-run: videos shown of each reason; {USUAL_SAMPLES} if left out."),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="With --dry-run: write a page of their covers and titles."),
    ] = None,
    engine: EngineName = None,
    master: Master = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
    as_json: AsJson = False,
) -> None:
    """Decide anew what is kept, by the recipe's filters; no media file is read again. Or try other thresholds first.

    Without --dry-run the tables are made anew from the decision, as `integrate` does.

        microlens-build filter --dry-run --set filters.max_cover_share=0.6 --html dropped.html
    """
    from microlens.cli.filtering import apply_filters, show_trial
    from microlens.cli.reporter import Reporter

    settings, reporter = settings_for_steps(engine, master, memory_limit, threads, temporary_dir), Reporter()
    if is_dry_run:
        shown = USUAL_SAMPLES if samples is None else samples
        show_trial(target, settings, changes=changes or [], samples=shown, sheet=sheet, as_json=as_json)
    else:
        apply_filters(
            target,
            settings,
            is_trying=bool(changes or sheet or samples is not None),
            reporter=reporter,
            as_json=as_json,
        )

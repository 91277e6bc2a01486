"""`microlens-build integrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import (
    EngineName,
    Master,
    MemoryLimit,
    RunName,
    TemporaryDir,
    Threads,
    settings_for_steps,
)

NAME = "integrate"


def command(
    run_name: RunName = None,
    *,
    is_partial: Annotated[
        bool, typer.Option("--partial", help="Take what there is of a crawl that is not finished.")
    ] = False,
    is_gathering: Annotated[
        bool,
        typer.Option(
            "--gather",
            help="Take the comments in that there are, and make no tables yet: cheap, however large the run is. Their "
            "parts are then needed by a re-crawl alone; texts and genders lie in parts of their own.",
        ),
    ] = False,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="Pull what another machine keeps first: its export, http(s)://HOST:PORT, or file:///FOLDER of its "
            "run; and where it keeps media or parts apart that store, s3://BUCKET/PREFIX or file:///FOLDER. Once for "
            "each; the bucket of MICROLENS_PARTS_URL is asked for parts in any case.",
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, max=64, show_default="4", help="Connections to each of them.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Who else may have signed their certificates, PEM.")] = None,
    engine: EngineName = None,
    master: Master = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
) -> None:
    """Merge what the nodes fetched: verdicts with reasons, items, interactions, users.

    microlens-build integrate

    microlens-build integrate --from https://node1:8780 --from https://node2:8780
    """
    from integration.merge import gather, integrate
    from microlens.cli.pulling import pull_from, pull_kept
    from microlens.cli.reporter import Reporter
    from microlens.errors import RecipeError
    from microlens.runs import find_run, mark_used

    if not sources and (channels is not None or ca_file is not None):
        raise RecipeError("--channels and --ca-file say how to pull, and there is no --from", hint="add --from URL")
    if is_gathering and is_partial:
        raise RecipeError(
            "--partial is about tables, and --gather makes none",
            hint="leave --partial out: --gather takes in what there is",
        )
    settings, reporter = settings_for_steps(engine, master, memory_limit, threads, temporary_dir), Reporter()
    run = find_run(run_name, settings)
    mark_used(run)
    pull_from(run, settings, sources or [], channels=channels, ca_file=ca_file, reporter=reporter)
    pull_kept(run, settings, reporter)

    def on_step(step: str) -> None:
        reporter.tick("integrate", lambda: {"step": step})

    if is_gathering:
        reporter.done("integrate --gather", gather(run, settings, on_step))
        return
    manifest, is_new = integrate(run, settings, on_step, is_partial=is_partial)
    reporter.done("integrate" if is_new else "integrate (nothing new)", manifest.counters)

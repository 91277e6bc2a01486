"""`microlens-build publish`."""

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

NAME = "publish"


def command(
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE|RUN]", help="A recipe's file, or a run; the one used last if left out."),
    ] = None,
    *,
    is_waiting: Annotated[
        bool,
        typer.Option("--wait", help="Wait until there is a run and all of it is collected: a cluster's integrator."),
    ] = False,
    is_ranking: Annotated[bool, typer.Option("--rank", help="Rank the recipe's models on each release.")] = False,
    engine: EngineName = None,
    master: Master = None,
    memory_limit: MemoryLimit = None,
    threads: Threads = None,
    temporary_dir: TemporaryDir = None,
    as_json: AsJson = False,
) -> None:
    """Integrate a run and publish all releases of its recipe; what is done already is not done again.

    The last two stages of `run`, for a run that others collect.

        microlens-build publish my-run --wait
    """
    from microlens.cli.output import print_result
    from microlens.cli.pipeline import publish_run
    from microlens.cli.reporter import Reporter

    result = publish_run(
        target,
        settings_for_steps(engine, master, memory_limit, threads, temporary_dir),
        is_waiting=is_waiting,
        is_ranking=is_ranking,
        reporter=Reporter(),
    )
    print_result(result, as_json=as_json)

"""`microlens-build retry`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import RunName

NAME = "retry"


def command(
    run_name: RunName = None,
    *,
    reasons: Annotated[
        list[str] | None, typer.Option("--reason", help="Only failures of this reason; may be given more than once.")
    ] = None,
) -> None:
    """Open again what was given up for a cause that may have passed: timeouts, refused connections, server errors.

    An unfinished run does so by itself when it goes on. `microlens-build status` shows the reasons.

        microlens-build retry --reason timeout
    """
    from microlens.cli.output import Reporter
    from microlens.cli.pipeline import retry
    from microlens.runs import find_run
    from microlens.settings import Settings

    settings = Settings()
    run = find_run(run_name, settings)
    opened = retry(run, settings, reasons or [])
    Reporter().note(f"{opened} failures are open again: run `microlens-build run` (or `crawl` and `work`) to try them")

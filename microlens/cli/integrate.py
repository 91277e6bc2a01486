"""`microlens-build integrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import RunName

NAME = "integrate"


def command(
    run_name: RunName = None,
    *,
    is_partial: Annotated[
        bool, typer.Option("--partial", help="Take what there is of a crawl that is not finished.")
    ] = False,
) -> None:
    """Merge what the nodes fetched: verdicts with reasons, items, interactions, users.

    microlens-build integrate
    """
    from integration.merge import integrate
    from microlens.cli.output import Reporter
    from microlens.logs import configure_logs
    from microlens.runs import find_run, mark_used
    from microlens.settings import Settings

    configure_logs()
    settings, reporter = Settings(), Reporter()
    run = find_run(run_name, settings)
    mark_used(run)
    manifest, is_new = integrate(
        run, settings, lambda step: reporter.tick("integrate", lambda: {"step": step}), is_partial=is_partial
    )
    reporter.done("integrate" if is_new else "integrate (nothing new)", manifest.counters)

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

    Nodes at work have it at once: on a Redis of your own, or beside a `run` or
    `work` on this machine. Else `work` fetches it, and nothing else that was
    given up. Any reason that `microlens-build status` shows can be named, also
    one that is final; `run` opens by itself whatever may have passed.

        microlens-build retry --reason timeout
    """
    from microlens.cli.reporter import Reporter
    from microlens.cli.restoring import retry
    from microlens.runs import find_run
    from microlens.settings import Settings

    settings = Settings()
    run = find_run(run_name, settings)
    retried = retry(run, settings, reasons or [])
    reporter = Reporter()
    told = f"{retried.opened:,} failures are open again"
    if not retried.is_pushed:
        reporter.note(f"{told}: run `microlens-build work` to fetch them")
    else:
        reporter.note(
            f"{told}, and queued: nodes that are at work try them now (if there are none, `microlens-build work`)"
        )
    if retried.opened and not run.ledger.is_stage_finished("crawl"):
        reporter.note("pages are to be read again: run `microlens-build crawl RECIPE`, unless a crawl is under way")

"""`microlens-build work`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import Processes

NAME = "work"


def command(
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN|RECIPE]", help="A run, or its recipe's file; the one used last if left out."),
    ] = None,
    *,
    processes: Processes = 2,
    is_forever: Annotated[
        bool, typer.Option("--forever", help="Keep waiting for the run and for work: a node of a cluster.")
    ] = False,
) -> None:
    """Download what was found: covers, audio, videos, and the comments of videos that pass.

    Ends when nothing is left to fetch, unless --forever is given. What was given up stays so: `retry` opens it again.

        microlens-build work -n 4
    """
    from download_nodes.supervise import work
    from microlens.cli.collector import Collector
    from microlens.cli.failure_note import note_failures
    from microlens.cli.recrawl import named_run
    from microlens.cli.reporter import Reporter, work_facts
    from microlens.cli.waiting import await_run
    from microlens.embedded import redis_server
    from microlens.runs import mark_used
    from microlens.settings import Settings

    settings, reporter = Settings(), Reporter()
    run = await_run(target, settings, reporter) if is_forever else named_run(target, settings)
    mark_used(run)
    with redis_server(settings.redis_url, lock=run.folder / "redis.lock") as redis_url:
        # On an embedded server nobody else can be at work: what waits for fresh links must get them here.
        collector = Collector(run, redis_url, is_for_links=True) if settings.redis_url is None else None
        try:
            work(
                run,
                redis_url,
                processes=processes,
                is_forever=is_forever,
                is_crawl_done=collector.is_done if collector else None,
                on_tick=lambda left: reporter.tick("download", lambda: work_facts(run, left)),
            )
        finally:
            if collector:
                collector.stop()
    reporter.done("download", work_facts(run, 0))
    note_failures(run, settings, reporter, of_pages=False, of_files=True)
    if not run.ledger.is_stage_finished("crawl"):
        reporter.note("the crawl is not finished: run `microlens-build crawl` again, then `work`")
    waiting = run.fresh_links.counts()["files"]
    if waiting:
        reporter.note(
            f"{waiting:,} files wait for fresh links: run `microlens-build crawl RECIPE --forever` beside `work`"
        )
    if run.refreshes.open_one() is not None:
        reporter.note("a refresh is not finished: run `microlens-build crawl RUN --since` again, then `work`")

"""`microlens-build crawl RECIPE`, and `crawl RUN --since WHEN`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NAME = "crawl"


def command(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="RECIPE|RUN",
            help="A recipe: see deploy/recipes/. With --since a run; the one used last if left out.",
        ),
    ] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Read known videos again, if last read before a day, a moment (UTC) or an age: 2026-01-31, 7d, 12h.",
        ),
    ] = None,
    is_forever: Annotated[
        bool,
        typer.Option(
            "--forever",
            help="Stay when all is found, and read pages again whose media links expire: the collector of a cluster.",
        ),
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after about so many pages.")] = None,
    is_dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Crawl into a run that is thrown away; use it with --limit. With --since: count what would be read.",
        ),
    ] = False,
) -> None:
    """Find videos: seeds from the home page, then related videos. Nothing is downloaded yet.

    Stopped or killed, it goes on where it was when it is started again.

    With --since the known videos of a run are read again, counts and comments; none is added. An unfinished refresh
    goes on with its own moment.

    Links to media that have expired since are fetched anew, before it ends.

        microlens-build crawl deploy/recipes/peertube.yaml --limit 20 --dry-run
    """
    from microlens.cli.output import print_found
    from microlens.cli.pipeline import crawl_alone
    from microlens.cli.recrawl import named_run, recrawl, tell_due
    from microlens.cli.reporter import Reporter
    from microlens.cli.when import parse_when
    from microlens.clock import now_ms
    from microlens.errors import RecipeError
    from microlens.recipe import load_recipe
    from microlens.settings import Settings

    settings, reporter = Settings(), Reporter()
    if since is not None:
        since_ms = parse_when(since, now_ms=now_ms())
        run = named_run(target, settings)
        if is_dry_run:
            typer.echo(tell_due(run, since_ms))
        else:
            recrawl(run, settings, since_ms=since_ms, limit=limit, reporter=reporter)
        return
    if target is None:
        raise RecipeError(
            "crawl needs a recipe", hint="give the path of a YAML file, or --since for a run that is there"
        )
    if is_forever and (limit is not None or is_dry_run):
        raise RecipeError("crawl --forever has no end", hint="leave out --limit and --dry-run")
    found = crawl_alone(
        load_recipe(target), settings, limit=limit, is_dry_run=is_dry_run, is_forever=is_forever, reporter=reporter
    )
    if is_dry_run:
        print_found(found)

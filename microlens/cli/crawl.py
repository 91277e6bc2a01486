"""`microlens-build crawl RECIPE`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import RecipePath

NAME = "crawl"


def command(
    recipe: RecipePath,
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after about so many pages.")] = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Crawl into a run that is thrown away; use it with --limit.")
    ] = False,
) -> None:
    """Find videos: seeds from the home page, then related videos. Nothing is downloaded yet.

    Stopped or killed, it goes on where it was when it is started again.

        microlens-build crawl deploy/recipes/peertube.yaml --limit 20 --dry-run
    """
    from microlens.cli.output import Reporter, print_found
    from microlens.cli.pipeline import crawl_alone
    from microlens.recipe import load_recipe
    from microlens.settings import Settings

    found = crawl_alone(load_recipe(recipe), Settings(), limit=limit, is_dry_run=is_dry_run, reporter=Reporter())
    if is_dry_run:
        print_found(found)

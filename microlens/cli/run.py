"""`microlens-build run RECIPE`."""

from __future__ import annotations

import typer

from microlens.cli.options import AsJson, Processes, RecipePath

NAME = "run"


def command(recipe: RecipePath, *, processes: Processes = 2, as_json: AsJson = False) -> None:
    """Build a recipe's dataset from end to end: crawl, download, integrate, release, benchmark.

    Run again, it goes on where it stopped, and does nothing if all is done.

        microlens-build run deploy/recipes/peertube.yaml
    """
    from microlens.cli.output import Reporter, print_result
    from microlens.cli.pipeline import run_recipe
    from microlens.recipe import load_recipe
    from microlens.settings import Settings

    result = run_recipe(load_recipe(recipe), Settings(), processes=processes, reporter=Reporter())
    print_result(result, as_json=as_json)
    raise typer.Exit

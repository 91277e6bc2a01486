"""`microlens-build plan RECIPE`."""

from __future__ import annotations

from microlens.cli.options import AsJson, RecipePath

NAME = "plan"


def command(recipe: RecipePath, *, as_json: AsJson = False) -> None:
    """Tell how many requests, days and bytes a recipe's crawl takes, before anything is asked of a site.

    microlens-build plan deploy/recipes/peertube.yaml
    """
    from microlens.cli.output import print_estimate
    from microlens.estimate import estimate
    from microlens.recipe import load_recipe

    print_estimate(estimate(load_recipe(recipe)), as_json=as_json)

"""`microlens-build benchmark compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import AsJson

NAME = "compare"


def command(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A results folder, its leaderboard.json, or FOLDER:MODEL for one model.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="The same; may be another model of the same folder.")],
    *,
    resamples: Annotated[int, typer.Option(min=100, help="How often users are drawn anew.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Draws the resamples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell by how much B is better than A, with paired bootstrap intervals over users, and by popularity of the target.

    Without models, each model that both results have is compared.

    microlens-build benchmark compare results/demo:popularity results/demo:sasrec
    """
    from benchmark.compare import compare, named_pairs
    from microlens.cli.comparisons import print_comparisons

    found = [compare(a, b, resamples=resamples, seed=seed) for a, b in named_pairs(first, second)]
    print_comparisons(found, as_json=as_json)

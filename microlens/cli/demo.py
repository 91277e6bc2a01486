"""`microlens-build demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import AsJson, Processes

NAME = "demo"


def command(
    *,
    videos: Annotated[int, typer.Option(min=30, help="Videos on the sandbox site.")] = 300,
    users: Annotated[int, typer.Option(min=10, help="Regular users of the sandbox site.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Makes the world and every random choice.")] = 7,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where the sandbox site listens on 127.0.0.1.")] = 8765,
    processes: Processes = 2,
    as_json: AsJson = False,
) -> None:
    """Start a micro-video site on this machine and build its dataset and leaderboard, from end to end.

    microlens-build demo
    """
    from microlens.cli.demo_site import demo_recipe, sandbox_site
    from microlens.cli.output import print_result
    from microlens.cli.pipeline import run_recipe
    from microlens.cli.reporter import Reporter
    from microlens.settings import Settings

    reporter = Reporter()
    recipe = demo_recipe(videos=videos, users=users, seed=seed, port=port)
    with sandbox_site(videos=videos, users=users, seed=seed, port=port, reporter=reporter):
        result = run_recipe(recipe, Settings(), processes=processes, reporter=reporter)
    print_result(result, as_json=as_json)

"""`microlens-build status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson

NAME = "status"


def command(
    target: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN|RECIPE]", help="A run, or its recipe's file; the one used last if left out."),
    ] = None,
    *,
    is_check: Annotated[
        bool,
        typer.Option(
            "--check-node",
            help="A health check: tell of the nodes alone, and exit with 1 unless this machine has one whose every "
            "process was heard of in the last half minute.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell how far a run is, what each node does at this moment, what failed, and what was published.

    Nodes are seen where their Redis is: on this machine, or at MICROLENS_REDIS_URL.

        microlens-build status
    """
    from microlens.cli.nodes import is_well, nodes_status
    from microlens.cli.recrawl import named_run
    from microlens.cli.run_status import print_nodes, print_status, status_of
    from microlens.settings import Settings

    settings = Settings()
    run = named_run(target, settings)
    nodes = nodes_status(run, settings)
    if is_check:
        print_nodes(nodes, as_json=as_json)
        raise typer.Exit(0 if is_well(nodes, settings.node_id) else 1)
    print_status(status_of(run) | nodes, as_json=as_json)

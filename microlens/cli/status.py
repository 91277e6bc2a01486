"""`microlens-build status`."""

from __future__ import annotations

from microlens.cli.options import AsJson, RunName

NAME = "status"


def command(run_name: RunName = None, *, as_json: AsJson = False) -> None:
    """Tell how far a run is, what each node does at this moment, what failed, and what was published.

    Nodes are seen where their Redis is: on this machine, or at MICROLENS_REDIS_URL.

        microlens-build status
    """
    from microlens.cli.nodes import nodes_status
    from microlens.cli.output import print_status
    from microlens.cli.pipeline import status_of
    from microlens.runs import find_run
    from microlens.settings import Settings

    settings = Settings()
    run = find_run(run_name, settings)
    print_status(status_of(run) | nodes_status(run, settings), as_json=as_json)

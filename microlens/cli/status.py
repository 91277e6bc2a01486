"""`microlens-build status`."""

from __future__ import annotations

from microlens.cli.options import AsJson, RunName

NAME = "status"


def command(run_name: RunName = None, *, as_json: AsJson = False) -> None:
    """Tell how far a run is, what failed, and what it has published.

    microlens-build status
    """
    from microlens.cli.output import print_status
    from microlens.cli.pipeline import status_of
    from microlens.runs import find_run
    from microlens.settings import Settings

    print_status(status_of(find_run(run_name, Settings())), as_json=as_json)

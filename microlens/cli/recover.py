"""`microlens-build recover`."""

from __future__ import annotations

from microlens.cli.options import RunName

NAME = "recover"


def command(run_name: RunName = None) -> None:
    """Rebuild the frontier from the ledger after Redis was lost or restored from an old copy.

    Whatever the frontier holds is forgotten first. Nodes at work may go on: what is committed twice counts once.

        microlens-build recover
    """
    from microlens.cli.reporter import Reporter
    from microlens.cli.restoring import recover
    from microlens.runs import find_run
    from microlens.settings import Settings

    settings = Settings()
    run = find_run(run_name, settings)
    Reporter().done("recover", recover(run, settings))

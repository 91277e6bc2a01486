"""`microlens-build subset`."""

from __future__ import annotations

from typing import Annotated

import typer

from microlens.cli.options import AsJson, RunName

NAME = "subset"


def command(
    run_name: RunName = None,
    *,
    users: Annotated[int | None, typer.Option(min=1, help="Users to draw; all eligible ones if left out.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the release; else by run and count.")] = None,
    min_user: Annotated[int, typer.Option(min=1, help="Fewest interactions of an eligible user.")] = 5,
    is_strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 if fewer users are eligible.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw users and publish them as a release; a smaller draw lies within every larger one.

    microlens-build subset --users 100000
    """
    from integration.subset import Draw, subset
    from microlens.cli.output import Reporter, print_release
    from microlens.logs import configure_logs
    from microlens.runs import find_run, mark_used
    from microlens.settings import Settings

    configure_logs()
    settings, reporter = Settings(), Reporter()
    run = find_run(run_name, settings)
    mark_used(run)
    draw = Draw(users=users, min_user=min_user, name=name, is_strict=is_strict)
    built = subset(run, settings, draw, lambda step: reporter.tick("subset", lambda: {"step": step}))
    print_release(built, as_json=as_json)

"""`microlens-build doctor`."""

from __future__ import annotations

import typer

from microlens.cli.options import AsJson

NAME = "doctor"


def command(*, as_json: AsJson = False) -> None:
    """Check this machine and what it works with: packages, FFmpeg, disk, runs, Redis, database, store and Spark.

    Database and store are those that MICROLENS_DATABASE_URL and MICROLENS_STORE_URL name; the store, and the bucket of
    MICROLENS_PARTS_URL, are tried out with a small object, which is removed again. A Spark server is looked for where
    MICROLENS_ENGINE is spark.

    microlens-build doctor
    """
    from microlens.cli.checks import check_machine
    from microlens.cli.output import print_checks
    from microlens.settings import Settings

    checks = check_machine(Settings())
    print_checks(checks, as_json=as_json)
    raise typer.Exit(0 if all(check.is_fine for check in checks) else 1)

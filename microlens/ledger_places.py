"""Where a run's ledger is: its run.json says so, for as long as the run lives.

A new run's ledger lies in PostgreSQL where MICROLENS_DATABASE_URL is set, else in the run's folder. Setting or
unsetting the variable later moves nothing.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from microlens.errors import MicrolensError, NotReadyError
from microlens.keeping import keeping_of
from microlens.ledger import Ledger
from microlens.privacy import given_fingerprint, stored_fingerprint

if TYPE_CHECKING:
    from microlens.postgres import PostgresSchema
    from microlens.settings import Settings


class RunExistsError(MicrolensError):
    """The database holds another run of this name, made in another folder."""


def open_ledger(folder: Path, settings: Settings) -> Ledger:
    """Open the ledger of a run that is there; NotReadyError if its database is not named, or does not have it."""
    keeping = keeping_of(folder, settings)
    schema = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("schema")
    if schema is None:
        return Ledger(folder / "ledger.sqlite", node_id=settings.node_id, keeping=keeping)
    if settings.database_url is None:
        raise NotReadyError(
            f"the ledger of the run in {folder} lies in PostgreSQL, schema {schema}, and no database is named",
            hint="set MICROLENS_DATABASE_URL as it was when the run was made",
        )
    from microlens.postgres import PostgresDatabase, PostgresSchema  # noqa: PLC0415 - an optional package

    at = PostgresSchema.named(schema, settings.database_url.get_secret_value())
    with closing(PostgresDatabase(at)) as database:
        if not database.exists():
            raise NotReadyError(
                f"the ledger of the run in {folder} is not in this database: {at}",
                hint="set MICROLENS_DATABASE_URL as it was when the run was made, or restore the database",
            )
    return Ledger(at, node_id=settings.node_id, keeping=keeping)


def ledger_to_join(run_id: str, settings: Settings) -> PostgresSchema | None:
    """The ledger of a run that another machine has made, if this one holds its pseudonym key: then it may take part."""
    if settings.database_url is None or settings.pseudonym_key is None:
        return None
    from microlens.postgres import PostgresDatabase, PostgresSchema  # noqa: PLC0415 - an optional package

    at = PostgresSchema.of(run_id, settings.database_url.get_secret_value())
    with closing(PostgresDatabase(at)) as database:
        if not database.exists():
            return None
    with closing(Ledger(at, node_id=settings.node_id)) as ledger:
        row = ledger.run()
    fingerprint = given_fingerprint(settings.pseudonym_key.get_secret_value())
    return at if row is not None and row["key_fingerprint"] == fingerprint else None


def place_of_new_ledger(folder: Path, run_id: str, settings: Settings, *, left_over_key: Path) -> Path | PostgresSchema:
    """Where a new run's ledger goes; what a crash left there while the run was being made is removed.

    RunExistsError if the database has a run of this name that was made elsewhere. Ours is known by its key, of which
    this folder then has a copy.
    """
    if settings.database_url is None:
        path = folder / "ledger.sqlite"
        path.unlink(missing_ok=True)
        return path
    from microlens.postgres import PostgresDatabase, PostgresSchema  # noqa: PLC0415 - an optional package

    at = PostgresSchema.of(run_id, settings.database_url.get_secret_value())
    with closing(PostgresDatabase(at)) as database:
        if not database.exists():
            return at
        with closing(Ledger(at, node_id=settings.node_id)) as ledger:
            row = ledger.run()
        is_ours = row is None or (
            left_over_key.exists() and stored_fingerprint(left_over_key) == row["key_fingerprint"]
        )
        if not is_ours:
            raise RunExistsError(
                f"the database already holds a run {run_id!r} ({at}) that was not made in {folder}",
                hint="set MICROLENS_RUNS_DIR to the folder where it was made, or MICROLENS_PSEUDONYM_KEY to that run's "
                "key to take part in it from this machine, or give the recipe another `name`; "
                f'to be rid of that run for ever: DROP SCHEMA "{at.name}" CASCADE',
            )
        database.drop()
    return at


def check_database(url: str) -> str:
    """Where a database is that answers; LedgerUnreachableError or RecipeError if it cannot be used."""
    from microlens.postgres import PostgresDatabase, PostgresSchema  # noqa: PLC0415 - an optional package

    with closing(PostgresDatabase(PostgresSchema.of("any", url))) as database:
        database.exists()
        return database.server


def told_of_ledger(at: Path | PostgresSchema) -> dict[str, str]:
    """What run.json says of it."""
    return {} if isinstance(at, Path) else {"schema": at.name}

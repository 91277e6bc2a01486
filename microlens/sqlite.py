"""A ledger in a SQLite file: the run's own, with no server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.database import (
    BUSY_TIMEOUT_S,
    LedgerBrokenError,
    LedgerBusyError,
    LedgerFullError,
    LedgerUnreachableError,
    check_version,
)
from microlens.ledger_tables import SCHEMA_VERSION, metadata
from microlens.locks import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from microlens.errors import MicrolensError


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S})
        sa.event.listen(self._engine, "connect", _configure)

    @property
    def place(self) -> str:
        return str(self._path)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._told(), self._engine.connect() as connection:
            # Taking SQLite's write lock at the start lets writers queue; upgrading a read lock would fail instead.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    def create_tables(self) -> None:
        """LedgerBrokenError also if the file is no database."""
        # Several processes may open a new ledger at once, and SQLite does not wait where two turn it to WAL.
        with one_at_a_time(self._path.with_name(f"{self._path.name}.lock")):
            with self._told(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            self._create_tables()

    def _create_tables(self) -> None:
        with self.write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            if version or sa.inspect(connection).get_table_names():
                check_version(version, self.place, instead=f"delete {self._path.parent}")
                return
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have SQLite's troubles told as what they mean for the ledger; a wrong statement is a bug, and stays one."""
        try:
            yield
        except sa.exc.DatabaseError as error:
            name = getattr(error.orig, "sqlite_errorname", "")
            found = next((kind for beginnings, kind in _MEANT if name.startswith(beginnings)), None)
            if found is None:
                raise
            said = f"the ledger {self.place} cannot be used: {error.orig} ({name})"
            raise found(said, hint=_HINTS[found]) from error


_HINTS: dict[type[MicrolensError], str] = {
    LedgerFullError: "free the disk, then run the same command: nothing is lost",
    LedgerBusyError: "wait for what holds it, then run the same command: nothing is lost",
    LedgerBrokenError: "restore it from a backup",
    LedgerUnreachableError: "look after its disk and its rights, then run the same command",
}
_MEANT: tuple[tuple[tuple[str, ...], type[MicrolensError]], ...] = (
    # Where a file beside the database cannot grow, SQLite calls it an I/O error.
    (("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"), LedgerFullError),
    (("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"), LedgerBusyError),
    (("SQLITE_CORRUPT", "SQLITE_NOTADB"), LedgerBrokenError),
    (("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_PERM", "SQLITE_READONLY"), LedgerUnreachableError),
)
"""Beginnings of SQLite's names of errors, the first that fits."""


def _configure(connection: Any, _record: Any) -> None:
    # We begin transactions ourselves (see `write`); the driver must not begin its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()

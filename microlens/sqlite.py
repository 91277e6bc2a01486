"""A ledger in a SQLite file: the run's own, with no server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.database import BUSY_TIMEOUT_S, LedgerBusyError, LedgerFullError, check_version
from microlens.errors import CorruptDataError
from microlens.ledger_tables import SCHEMA_VERSION, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path


class SqliteDatabase:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S})
        sa.event.listen(self._engine, "connect", _configure)

    @property
    def place(self) -> str:
        return str(self._path)

    def read(self) -> AbstractContextManager[sa.Connection]:
        return self._engine.connect()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            # Taking SQLite's write lock at the start lets writers queue; upgrading a read lock would fail instead.
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
            except sa.exc.OperationalError as error:
                kind = LedgerFullError if _is_full(error) else LedgerBusyError
                raise kind(
                    f"the ledger cannot be written: {error.orig}",
                    hint="free the disk, or wait for what holds it; then run the same command: nothing is lost",
                ) from error

    def create_tables(self) -> None:
        """CorruptDataError also if the file is no database."""
        try:
            with self.write() as connection:  # several processes may open a new ledger at once
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                if version or sa.inspect(connection).get_table_names():
                    check_version(version, self.place, instead=f"delete {self._path.parent}")
                    return
                metadata.create_all(connection)
                connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except sa.exc.DatabaseError as error:
            raise CorruptDataError(
                f"the ledger {self.place} cannot be opened: {error.orig}",
                hint="restore it from a backup, or free the disk",
            ) from error

    def close(self) -> None:
        self._engine.dispose()


def _is_full(error: sa.exc.OperationalError) -> bool:
    """Whether the disk is full; where a file beside the database cannot grow, SQLite calls it an I/O error."""
    return getattr(error.orig, "sqlite_errorname", "") in {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"}


def _configure(connection: Any, _record: Any) -> None:
    # We begin transactions ourselves (see `write`); the driver must not begin its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()

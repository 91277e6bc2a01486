"""A ledger in PostgreSQL: a schema for each run, in a database that many machines and many runs share.

Connections are made when they are needed. A server that is away is waited for before a transaction has begun, when
nothing can have been done twice; one that goes away in the midst of a transaction ends it, with nothing written.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from microlens.database import (
    BUSY_TIMEOUT_S,
    LedgerBrokenError,
    LedgerBusyError,
    LedgerUnreachableError,
    ServerFullError,
    check_version,
)
from microlens.errors import MicrolensError, RecipeError
from microlens.ledger_tables import SCHEMA_VERSION, metadata
from microlens.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_PATIENCE_S = 20.0
_IDLE_S = 30
"""How long a transaction may stand still: less than others wait for it."""
_LONGEST_NAME = 63
"""Bytes of an identifier; PostgreSQL cuts off the rest, and two names would be one."""
_CONNECT = {
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    # A server whose machine has vanished is noticed within a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_NO_USE_WAITING = ("password", "does not exist", "pg_hba.conf")
"""In a server's words, why it will not take us in a minute either."""
_CONNECTION_LOST = ("08", "25P03", "57P")
"""Beginnings of SQLSTATE codes: the connection broke, or the server ended it."""
_DISK_FULL = "53100"
_BROKEN = ("XX001", "XX002", "58P01")
"""Damaged rows, a damaged index, a file of the server's that is not there."""

_VERSION = sa.Table("ledger_version", sa.MetaData(), sa.Column("version", sa.Integer, nullable=False))


@dataclass(frozen=True, slots=True)
class PostgresSchema:
    """A run's place in a PostgreSQL database."""

    url: sa.URL = field(repr=False)  # a password may stand there
    name: str

    @classmethod
    def of(cls, run_id: str, url: str) -> PostgresSchema:
        """The schema of a run, whose name follows from the run's; RecipeError if the URL is none of PostgreSQL."""
        return cls.named(_schema_name(run_id), url)

    @classmethod
    def named(cls, name: str, url: str) -> PostgresSchema:
        return cls(_checked(url), name)

    def __str__(self) -> str:
        """Without user and most options: a password may stand there."""
        return f"{self.server}, schema {self.name}"

    @property
    def server(self) -> str:
        host = self.url.host or self.url.query.get("host") or "localhost"
        return f"{host}:{self.url.port or 5432}/{self.url.database or ''}"


class PostgresDatabase:
    def __init__(self, at: PostgresSchema) -> None:
        self._at = at
        # A few connections a process: a server has a hundred for everybody, and writers queue in any case.
        self._engine = sa.create_engine(
            at.url,
            connect_args=_CONNECT,
            pool_size=2,
            max_overflow=3,
            pool_timeout=BUSY_TIMEOUT_S,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",
        )
        sa.event.listen(self._engine, "connect", self._configure)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lock = int.from_bytes(hashlib.sha256(at.name.encode()).digest()[:8], signed=True)

    @property
    def place(self) -> str:
        return str(self._at)

    @property
    def server(self) -> str:
        return self._at.server

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self._told(), self._patiently(self._reading.connect) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._told(), self._patiently(self._begin) as connection:
            yield connection
            connection.commit()

    def exists(self) -> bool:
        """Whether the run's schema is there."""
        with self.read() as connection:
            return sa.inspect(connection).has_schema(self._at.name)

    def create_tables(self) -> None:
        """RecipeError also for a database that cannot hold every text."""
        with self.write() as connection:
            if sa.inspect(connection).has_schema(self._at.name):
                version = connection.execute(sa.select(_VERSION)).scalar_one()
                return check_version(version, self.place, instead=f"remove it (DROP SCHEMA {self._quoted} CASCADE)")
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
            if encoding != "UTF8":
                raise RecipeError(
                    f"the database {self._at.url.database!r} has the encoding {encoding}; not every title fits",
                    hint="make one with `createdb --encoding UTF8 --template template0 NAME`",
                )
            connection.exec_driver_sql(f"CREATE SCHEMA {self._quoted}")
            _bytewise(metadata).create_all(connection, checkfirst=False)
            _VERSION.create(connection, checkfirst=False)
            connection.execute(_VERSION.insert().values(version=SCHEMA_VERSION))
        return None

    def drop(self) -> None:
        """Remove the run's schema, and all that it holds."""
        with self.write() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {self._quoted} CASCADE")

    def close(self) -> None:
        self._engine.dispose()

    @property
    def _quoted(self) -> str:
        return self._engine.dialect.identifier_preparer.quote_identifier(self._at.name)

    def _begin(self) -> sa.Connection:
        """Begin a transaction that writes, once no other of this run does.

        A sequence gives its numbers out before their rows are committed: without the lock, a reader could see number
        7, go on from there, and never see number 6. The statements after this one see all that was committed before
        the lock was had, since each of them looks anew (READ COMMITTED).
        """
        connection = self._engine.connect()
        try:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(self._lock)))
        except BaseException:
            connection.close()
            raise
        return connection

    def _patiently(self, begin: Callable[[], sa.Connection]) -> AbstractContextManager[sa.Connection]:
        """Begin, waiting a little for a server that is away."""
        deadline = time.monotonic() + _PATIENCE_S
        pause_s = 0.1
        while True:
            try:
                return begin()
            except sa.exc.DBAPIError as error:
                is_hopeless = any(words in str(error.orig) for words in _NO_USE_WAITING)
                if not _is_lost(error) or is_hopeless or time.monotonic() > deadline:
                    raise
                log.warning("ledger_unreachable", place=self.place, again_in_s=pause_s)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have a server's troubles told as what they mean for the ledger."""
        try:
            yield
        except sa.exc.TimeoutError as error:  # of the pool
            raise self._busy("every connection of this process is in use") from error
        except sa.exc.DBAPIError as error:
            said = " ".join(str(error.orig).split())
            if _is_lost(error):
                raise LedgerUnreachableError(
                    f"the ledger's database at {self.place} does not answer: {said}",
                    hint="start it, or correct MICROLENS_DATABASE_URL; then run the same command: nothing is lost",
                ) from error
            if _state_of(error) == _DISK_FULL:
                raise ServerFullError(
                    f"the ledger at {self.place} cannot be written: {said}",
                    hint="free the server's disk, then run the same command: nothing is lost",
                ) from error
            if _state_of(error).startswith(_BROKEN):
                raise LedgerBrokenError(
                    f"the ledger at {self.place} is damaged: {said}",
                    hint="restore the database from a backup, together with the run's folder",
                ) from error
            if isinstance(error, sa.exc.OperationalError):  # a lock that does not come free, too many connections
                raise self._busy(said) from error
            raise

    def _busy(self, said: str) -> LedgerBusyError:
        return LedgerBusyError(
            f"the ledger at {self.place} cannot be used: {said}",
            hint="wait for what holds it, then run the same command: nothing is lost",
        )

    def _configure(self, connection: Any, _record: Any) -> None:
        from microlens.postgres_text import TEXT_TYPES, EveryTextDumper, EveryTextLoader  # noqa: PLC0415 - needs the driver

        connection.adapters.register_dumper(str, EveryTextDumper)
        for name in TEXT_TYPES:
            connection.adapters.register_loader(name, EveryTextLoader)
        values = {
            "search_path": self._quoted,
            "lock_timeout": f"{BUSY_TIMEOUT_S}s",
            # A process that was stopped, or whose machine is gone, must not keep all others from writing.
            "idle_in_transaction_session_timeout": f"{_IDLE_S}s",
        }
        with connection.cursor() as cursor:
            for name, value in values.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()


def _checked(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise RecipeError(
            "MICROLENS_DATABASE_URL is no PostgreSQL address",
            hint="write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE, or unset it to keep ledgers in SQLite",
        )
    try:
        import psycopg  # noqa: F401, PLC0415 - an optional package
    except ImportError as error:
        raise MicrolensError(
            "MICROLENS_DATABASE_URL is set, and the driver for PostgreSQL is not installed",
            hint="pip install 'microlens-build[postgres]', or unset it to keep ledgers in SQLite",
        ) from error
    return parsed.set(drivername="postgresql+psycopg")


def _schema_name(run_id: str) -> str:
    name = f"microlens_{run_id}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}_{digest}"


def _bytewise(tables: sa.MetaData) -> sa.MetaData:
    """The tables with texts in the order of their bytes: SQLite's, Python's, and the same on every server."""
    copy = sa.MetaData()
    for table in tables.tables.values():
        for column in table.to_metadata(copy).columns:
            if isinstance(column.type, sa.String):
                column.type = type(column.type)(collation="C")
    return copy


def _is_lost(error: sa.exc.DBAPIError) -> bool:
    """Whether there is no connection (any longer)."""
    state = _state_of(error)
    if not state:
        return error.connection_invalidated or isinstance(error, sa.exc.OperationalError)
    return error.connection_invalidated or state.startswith(_CONNECTION_LOST)


def _state_of(error: sa.exc.DBAPIError) -> str:
    """The server's SQLSTATE; empty where no server has said anything."""
    return getattr(error.orig, "sqlstate", None) or ""

"""Where a ledger's tables lie: in a SQLite file (microlens.sqlite), or in a PostgreSQL schema (microlens.postgres).

Both keep one order. Of a run only one transaction writes at a time, so that rows are numbered in the order in which
they are committed (who reads on from a number misses none), and what a transaction has looked up holds until it ends.
SQLite has a lock for that; PostgreSQL is given one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from microlens.errors import CorruptDataError, MicrolensError, UnreachableError
from microlens.ledger_tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

BUSY_TIMEOUT_S = 60
"""How long a transaction waits for another to end."""


class LedgerBusyError(MicrolensError):
    """The ledger cannot be used: the disk is full, or another process holds it for too long."""


class LedgerFullError(LedgerBusyError):
    """The disk that holds the ledger has no space for a write."""

    is_elsewhere = False
    """It is a server's disk: nobody here sees when there is space again."""


class ServerFullError(LedgerFullError):
    """The disk of the database server has no space for a write."""

    is_elsewhere = True


class LedgerVersionError(CorruptDataError):
    """The ledger was made by another version of this program, whose tables are not ours."""


class LedgerBrokenError(CorruptDataError):
    """What the ledger's tables lie in is damaged, or is no database at all."""


class LedgerUnreachableError(UnreachableError):
    """The database server does not answer or has ended a connection; or the disk with the file fails."""


class Database(Protocol):
    """A run's tables, wherever they lie."""

    @property
    def place(self) -> str:
        """Where it is, in words that hold no password."""

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A connection for statements that write nothing; each sees what is committed when it begins.

        Here as in `write`: LedgerFullError, LedgerBusyError, LedgerBrokenError or LedgerUnreachableError.
        """

    def write(self) -> AbstractContextManager[sa.Connection]:
        """One transaction, committed whole or not at all, beside which no other of this run writes."""

    def create_tables(self) -> None:
        """Make the tables of a new ledger, once; LedgerVersionError if there are tables of another version."""

    def close(self) -> None: ...


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT that can have an ON CONFLICT: both dialects spell it the same way."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def insert_new(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> int:
    """Insert what is not there yet; gives how many rows that were."""
    if not rows:
        return 0
    statement = insert(connection, table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return connection.execute(statement, rows).rowcount


def rows_after(
    connection: sa.Connection, table: sa.Table, seq: int, *, at_most: int, but_by: str | None
) -> tuple[Sequence[sa.RowMapping], int]:
    """The rows that were committed after one, in order, and the last one's number."""
    last = min(connection.execute(sa.select(sa.func.max(table.c.seq))).scalar() or seq, seq + at_most)
    wanted = sa.select(table).where(table.c.seq > seq, table.c.seq <= last).order_by(table.c.seq)
    if but_by is not None:
        wanted = wanted.where(table.c.committer != but_by)
    return connection.execute(wanted).mappings().all() if last > seq else [], last


@dataclass(frozen=True, slots=True)
class IdRange:
    """Ids that follow one id, up to another; None is no bound."""

    after: str | None = None
    last: str | None = None

    def has(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """The condition that a column's value is of this range."""
        above = sa.true() if self.after is None else column > self.after
        return above if self.last is None else sa.and_(above, column <= self.last)


def id_ranges(database: Database, column: sa.Column[str], at_once: int) -> Iterator[IdRange]:
    """Ranges that hold some `at_once` rows each of a column's table; an index must have the column in its order.

    The first has no beginning and the last no end: together they are all that there is, and that comes meanwhile.
    """
    after = None
    while True:
        beyond = IdRange(after)
        query = sa.select(column).where(beyond.has(column)).order_by(column).offset(at_once - 1).limit(1)
        with database.read() as connection:
            last = connection.execute(query).scalar()
        if last is None:
            yield beyond
            return
        yield IdRange(after, last)
        after = last


def check_version(version: int, place: str, *, instead: str) -> None:
    """LedgerVersionError unless the tables there are those of this program."""
    if version != SCHEMA_VERSION:
        raise LedgerVersionError(
            f"the ledger {place} has tables of version {version or 1}; only version {SCHEMA_VERSION} can be read here",
            hint=f"go on with the microlens-build that made it, or {instead} and crawl again",
        )

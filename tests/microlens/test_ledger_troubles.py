"""A database's troubles are told as what they mean, to whoever reads as to whoever writes."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from microlens import sqlite as sqlite_module
from microlens.database import (
    LedgerBrokenError,
    LedgerBusyError,
    LedgerFullError,
    LedgerUnreachableError,
    ServerFullError,
)
from microlens.ledger import Ledger
from microlens.ledger_rows import PageRow
from microlens.postgres import PostgresSchema

CALLS = [lambda ledger: ledger.pages(), lambda ledger: ledger.commit_crawl(pages=[PageRow("new", "u")])]
BOTH = pytest.mark.parametrize("call", CALLS, ids=["read", "write"])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run/ledger.sqlite"


@pytest.fixture
def ledger(file, monkeypatch):
    """A ledger of some pages, with no connection left open."""
    monkeypatch.setattr(sqlite_module, "BUSY_TIMEOUT_S", 0.2)
    file.parent.mkdir()
    ledger = Ledger(file, node_id="node")
    ledger.commit_crawl(pages=[PageRow(f"v{number}", "u" * 2000) for number in range(100)])
    ledger.close()
    yield ledger
    ledger.close()


@BOTH
def test_a_damaged_file_is_corrupt_data(ledger, file, call):
    """Pages overwritten in the midst of it end a command with exit code 8; a worker is not started again for it."""
    with file.open("r+b") as raw:
        raw.seek(8192)
        raw.write(b"\xff" * (file.stat().st_size - 8192))

    with pytest.raises(LedgerBrokenError, match="malformed") as told:
        call(ledger)
    assert 8 == told.value.exit_code
    assert "backup" in told.value.hint


def test_a_file_that_is_no_database_is_corrupt_data(file):
    """Opened as a ledger it is told with its place."""
    file.parent.mkdir()
    file.write_bytes(b"no database" * 500)

    with pytest.raises(LedgerBrokenError, match=str(file)):
        Ledger(file, node_id="node")


@BOTH
def test_a_ledger_that_another_holds_is_busy(ledger, file, call):
    """Whoever locks the whole file keeps readers out as well: they are told to wait."""
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerBusyError, match="locked") as told:
            call(ledger)

    assert not isinstance(told.value, LedgerFullError)
    assert "wait for what holds it" in told.value.hint


@BOTH
def test_a_file_that_is_gone_is_out_of_reach(ledger, file, call):
    """A folder that was unmounted: exit code 5, and nothing is made in its place."""
    for path in (file, file.parent):
        path.rename(path.with_name(path.name + ".away"))

    with pytest.raises(LedgerUnreachableError, match="unable to open"):
        call(ledger)
    assert not file.exists()


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_wrong_statement_stays_a_bug(ledger, how):
    """What is no trouble of the machine is not told as one."""
    with pytest.raises(sa.exc.OperationalError, match="no such table"), getattr(ledger, how)() as connection:
        connection.execute(sa.text("SELECT * FROM nonsense"))


@pytest.mark.parametrize("how", ["read", "write"])
@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("53100", ServerFullError),
        ("53200", LedgerBusyError),
        ("53300", LedgerBusyError),
        ("XX001", LedgerBrokenError),
        ("XX002", LedgerBrokenError),
        ("58P01", LedgerBrokenError),
        ("57P01", LedgerUnreachableError),
        ("22012", sa.exc.DataError),
    ],
)
def test_a_server_that_says_so_is_understood(postgres, tmp_path, how, state, error):
    """Each SQLSTATE has its meaning: a full disk is waited for, a damaged one is not, a bug stays a bug."""
    with closing(Ledger(PostgresSchema.of(tmp_path.name, postgres.url), node_id="node")) as ledger:
        with pytest.raises(error) as told, getattr(ledger, how)() as connection:
            connection.exec_driver_sql(f"DO $$ BEGIN RAISE 'so it is' USING ERRCODE = '{state}'; END $$")

        assert error is type(told.value)
        assert "so it is" in str(told.value)
        ledger.finish_stage("crawl")
        assert ledger.is_stage_finished("crawl")

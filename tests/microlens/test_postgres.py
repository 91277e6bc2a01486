"""What PostgreSQL must be made to do: number rows as they are committed, come back after an outage, hold any text."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from microlens import postgres as postgres_module
from microlens.database import LedgerBusyError, LedgerUnreachableError, LedgerVersionError
from microlens.errors import RecipeError
from microlens.ledger import Ledger
from microlens.ledger_rows import Mark, PageRow
from microlens.postgres import PostgresSchema
from tests.postgres_server import PASSWORD, own_postgres


@pytest.fixture
def open_ledger(postgres, tmp_path):
    """Opens a ledger of this test's own schema, each with connections of its own."""
    opened = []

    def make(url=postgres.url):
        opened.append(Ledger(PostgresSchema.of(tmp_path.name, url), node_id=f"n{len(opened)}"))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


def names(pages):
    return [page.video_id for page in pages]


# --- the order of commits ---


def test_no_row_is_numbered_before_one_that_is_committed_later(open_ledger):
    """A commit waits for the one that has begun before it: who reads on from a mark misses no row."""
    first, second, reader = open_ledger(), open_ledger(), open_ledger()
    reader.commit_crawl(pages=[PageRow("known", "u")])
    _, _, mark = reader.crawled_since(Mark())
    with ThreadPoolExecutor() as pool:
        with first.write() as connection:
            connection.execute(sa.text("SELECT nextval('page_seq_seq')"))  # a number is taken, its row comes late
            late = pool.submit(second.commit_crawl, pages=[PageRow("second", "u")])
            time.sleep(0.3)
            _, between, mark = reader.crawled_since(mark)
            is_waiting = not late.done()
        late.result(timeout=30)
    _, after, _ = reader.crawled_since(mark)

    assert is_waiting
    assert ([], ["second"]) == (names(between), names(after))


def test_a_reader_that_follows_many_writers_sees_every_row_once(open_ledger):
    """Six writers at once, some of whose transactions fail, and a reader that asks on from its last mark."""
    ledgers, reader, over = [open_ledger() for _ in range(6)], open_ledger(), threading.Event()

    def write(at):
        for n in range(40):
            pages = [PageRow(f"{at}-{n}-{k}", "u") for k in range(1 + n % 3)]
            if n % 7 == 0:
                with pytest.raises(sa.exc.DataError):
                    ledgers[at].commit_crawl(pages=[*pages, PageRow("bad", "u", like_count=2**70)])
            ledgers[at].commit_crawl(pages=pages)

    def follow():
        seen, mark = [], Mark()
        while True:
            is_last = over.is_set()
            _, pages, mark = reader.crawled_since(mark)
            seen += names(pages)
            if is_last and not pages:
                return seen

    with ThreadPoolExecutor() as pool:
        following = pool.submit(follow)
        for writing in [pool.submit(write, at) for at in range(6)]:
            writing.result(timeout=60)
        over.set()
        seen = following.result(timeout=60)

    assert len(seen) == len(set(seen))
    assert {f"{at}-{n}-{k}" for at in range(6) for n in range(40) for k in range(1 + n % 3)} == set(seen)


def test_a_writer_that_takes_too_long_is_an_error(open_ledger, monkeypatch):
    """A lock that does not come free is told with what to do."""
    monkeypatch.setattr(postgres_module, "BUSY_TIMEOUT_S", 1)
    first, second = open_ledger(), open_ledger()

    with first.write(), pytest.raises(LedgerBusyError, match="lock timeout") as busy:
        second.finish_stage("crawl")
    assert "nothing is lost" in busy.value.hint


def test_a_writer_that_stands_still_loses_its_transaction(open_ledger, monkeypatch):
    """A process that was halted keeps the others waiting for a while only."""
    monkeypatch.setattr(postgres_module, "_IDLE_S", 1)
    first, second = open_ledger(), open_ledger()

    def stand_still():
        with first.write() as connection:
            connection.execute(sa.text("INSERT INTO stage VALUES ('half', 1)"))
            second.finish_stage("crawl")
            connection.execute(sa.text("INSERT INTO stage VALUES ('other half', 1)"))

    with pytest.raises(LedgerUnreachableError, match="idle-in-transaction"):
        stand_still()
    assert [True, False] == [second.is_stage_finished(name) for name in ("crawl", "half")]
    first.finish_stage("half")
    assert second.is_stage_finished("half")


# --- outages ---


def test_an_outage_ends_a_transaction_and_not_the_ledger(open_ledger):
    """The server dies in the midst of a transaction: nothing of it is written, and the same ledger goes on later."""

    def die_halfway():
        with ledger.write() as connection:
            connection.execute(sa.text("INSERT INTO stage VALUES ('half', 1)"))
            server.kill()
            connection.execute(sa.text("INSERT INTO stage VALUES ('other half', 1)"))

    with own_postgres() as server:
        ledger = open_ledger(server.url)
        ledger.finish_stage("before")
        with pytest.raises(LedgerUnreachableError) as lost:
            die_halfway()
        server.start()
        finished = [ledger.is_stage_finished(name) for name in ("before", "half", "other half")]
        ledger.close()

    assert 5 == lost.value.exit_code
    assert [True, False, False] == finished


def test_a_server_that_is_away_is_waited_for(open_ledger):
    """A commit that has not begun waits until the server is back; so does a new process."""
    with own_postgres() as server:
        ledger = open_ledger(server.url)
        server.kill()
        with ThreadPoolExecutor() as pool:
            known, new = pool.submit(ledger.finish_stage, "crawl"), pool.submit(open_ledger, server.url)
            time.sleep(0.5)
            server.start()
            known.result(timeout=30)
            found = new.result(timeout=30).is_stage_finished("crawl")
        ledger.close()

    assert found


def test_patience_has_an_end(open_ledger, monkeypatch, tmp_path):
    """A server that stays away is an error with its place and without its password."""
    monkeypatch.setattr(postgres_module, "_PATIENCE_S", 0.3)

    with pytest.raises(LedgerUnreachableError, match="does not answer") as lost:
        open_ledger(f"postgresql://me:{PASSWORD}@/site?host={tmp_path}")
    assert str(tmp_path) in str(lost.value)
    assert PASSWORD not in str(lost.value)


def test_a_wrong_password_is_told_at_once(open_ledger, postgres):
    """Nobody waits for a server that has said no, and the password stands in no message."""
    began = time.monotonic()

    with pytest.raises(LedgerUnreachableError, match="password authentication failed") as lost:
        open_ledger(postgres.url.replace(PASSWORD, "hunter2"))
    assert postgres_module._PATIENCE_S > time.monotonic() - began
    assert "hunter2" not in str(lost.value)
    assert "hunter2" not in str(lost.value.__cause__)


# --- places ---


@pytest.mark.parametrize("url", ["mysql://a:hunter2@b/c", "hunter2", "sqlite:///hunter2", ""])
def test_a_url_of_something_else_is_refused(url):
    """Only PostgreSQL can be named; what was written may be a password and is not repeated."""
    with pytest.raises(RecipeError, match="no PostgreSQL address") as refused:
        PostgresSchema.of("demo", url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_place_is_told_without_its_password(scheme):
    """Whatever PostgreSQL calls its addresses is taken; the place names server, database and schema."""
    at = PostgresSchema.of("my-run", f"{scheme}://me:hunter2@db.test:5433/site?password=hunter2")

    assert "db.test:5433/site, schema microlens_my-run" == str(at)
    assert "hunter2" not in repr(at)


def test_every_run_has_a_schema_of_its_own():
    """Names that differ only where PostgreSQL would cut them off, or in case, stay different."""
    runs = ["a" * 64, "a" * 63 + "b", "a", "A", "a" * 53, "a" * 54]
    schemas = {PostgresSchema.of(run, "postgresql://h/d").name for run in runs}

    assert len(runs) == len(schemas)
    assert 63 >= max(map(len, schemas))


def test_a_ledger_of_another_version_is_refused(open_ledger):
    """Tables that another version of this program made are named and left as they are."""
    ledger = open_ledger()
    with ledger.write() as connection:
        connection.execute(sa.text("UPDATE ledger_version SET version = 99"))

    with pytest.raises(LedgerVersionError, match="version 99; only version"):
        open_ledger()


def test_texts_stand_in_the_order_of_their_bytes(open_ledger):
    """As in SQLite and in Python, whatever the server's own language: tables made of them are the same everywhere."""
    ledger = open_ledger()
    with ledger.read() as connection:
        rows = connection.execute(
            sa.text(
                "SELECT DISTINCT collation_name FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying')"
            )
        )
        collations = rows.scalars().all()

    assert ["C"] == collations


@pytest.mark.parametrize("text", ["\0", "\ue000", "\ue0000", "\ue0001", "\0\ue000\0", "a\ue0000\0b"])
def test_a_text_comes_back_as_it_was(open_ledger, text):
    """NUL and the character that stands for it are held, found and told apart."""
    ledger = open_ledger()
    others = [PageRow(text + other, "u") for other in ("\0", "0", "1", "\ue000")]
    ledger.commit_crawl(pages=[PageRow(text, "u", title=text), *others])

    assert [PageRow(text, "u", title=text)] == ledger.pages([text])
    assert [PageRow(text, "u", title=text), *others] == ledger.pages()

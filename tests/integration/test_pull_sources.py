"""What is pulled from: exports, mounted folders, buckets; slow ones, endless ones, and some that go away meanwhile."""

import errno
import re
import shutil
import threading
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from integration import progress as progress_room
from integration.lacking import lacking
from integration.progress import Progress, progress_facts
from integration.pull import pull
from microlens import export_store, pace
from microlens.cli.pulling import pull_from
from microlens.cli.reporter import Reporter
from microlens.errors import NotReadyError
from microlens.ledger_tables import asset_table
from microlens.settings import Settings
from microlens.stores import open_store
from tests.bucket import KEY as BUCKET_KEY
from tests.bucket import s3_server
from tests.integration.pulling import SETTINGS, Disguised, files_of, sources


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Other tries come at once."""
    monkeypatch.setattr(export_store, "_FIRST_WAIT_S", 0.001)


def test_an_answer_without_end_is_cut_off(split):
    """No more is written than the ledger, or the source's own listing, says that there is."""
    made, (first,) = split()
    (open_first,) = sources(made, f"file://{first}").values()

    def endless(*_):
        while True:
            yield bytes(1 << 16)

    wanted = lacking(made.run)
    pulled = pull(made.run, {"endless": lambda: Disguised(open_first, read=endless, read_part=endless)})
    most = sum(size + (1 << 16) for size in (one.size_bytes or 100_000 for one in wanted))

    assert len(wanted) == pulled.left == len(pulled.wrong)
    assert pulled.size_bytes <= 2 * most
    assert [] == [*(made.run.folder / "tmp").glob("pull-*"), *(made.run.folder / "store/tmp").iterdir()]


def test_a_mount_that_is_gone_refuses_nobody_else(split, capsys):
    """Neither one that answers with errors of its own, nor one that is not mounted when the command begins."""
    made, (first, good) = split(2)

    def stale(*_):
        raise OSError(errno.ESTALE, "Stale file handle")

    (open_first,) = sources(made, f"file://{first}").values()
    some = pull(made.run, {"stale": lambda: Disguised(open_first, sizes=stale, parts=stale)})
    shutil.rmtree(first)
    urls = [f"file://{first}", f"file://{good}"]
    pull_from(made.run, Settings(**SETTINGS), urls, channels=2, ca_file=None, reporter=Reporter())

    assert {"stale": "stale cannot be read: Stale file handle"} == some.troubles
    assert "holds neither a run (run.json) nor a store (objects)" in capsys.readouterr().err
    assert files_of(good) == files_of(made.run.folder)


def test_a_folder_that_is_unmounted_meanwhile_is_lost_as_a_whole(split):
    """Its files are not refused one by one."""
    made, (first,) = split()
    source = next(iter(sources(made, f"file://{first}").values()))()
    first.rename(first.with_name("elsewhere"))

    def sizes(hashes):
        return dict.fromkeys(hashes, 1)

    def parts(wanted):
        return {part.part_id: 1 for part in wanted}

    pulled = pull(made.run, {"gone": lambda: Disguised(lambda: source, sizes=sizes, parts=parts)})

    assert {"gone": "gone cannot be read: No such file or directory"} == pulled.troubles
    assert ({}, len(lacking(made.run))) == (pulled.wrong, pulled.left)


def test_a_folder_is_left_as_it_is(split):
    """Nothing is written where another machine keeps its files."""
    made, (first,) = split()
    shutil.rmtree(first / "store/tmp")
    before = sorted(first.rglob("*"))
    pull(made.run, sources(made, f"file://{first}"))

    assert before == sorted(first.rglob("*"))


def test_media_that_lie_apart_come_from_their_store(split, tmp_path):
    """A machine's run has its parts, its store its media; what is missing says which stores there are."""
    made, (first,) = split()
    apart = (first / "store").rename(tmp_path / "apart")
    with made.run.ledger.write() as connection:
        connection.execute(sa.update(asset_table).values(kept_at="file:///apart"))
    parts = pull(made.run, sources(made, f"file://{first}"))
    with pytest.raises(NotReadyError) as told:
        parts.check()
    rest = pull(made.run, sources(made, f"file://{apart}"))

    assert "the stores that they keep files in (file:///apart)" in told.value.hint
    assert (0, parts.left) == (rest.parts, rest.files)
    assert made.integrate()[1]


def test_media_come_from_a_bucket_and_go_into_one(split, monkeypatch):
    """A bucket gives media by their hashes and no parts; where this machine's own store is one, they are put there."""
    made, (first,) = split()
    objects = {path.name: path for path in (first / "store/objects").rglob("*") if path.is_file()}
    with s3_server("theirs", "ours") as url:
        for name, value in {**BUCKET_KEY, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        theirs, ours = (
            open_store(made.run.folder / "store", f"s3://{name}/media", allow_http=True) for name in ("theirs", "ours")
        )
        for sha256, path in objects.items():
            shutil.copy(path, temporary := theirs.temporary())
            theirs.put(temporary, sha256)
        from_bucket = pull(made.run, sources(made, "s3://theirs/media", store_allow_http=True))
        run = replace(made.run, store=ours)
        into_bucket = pull(run, sources(made, f"file://{first}"))
        stored = dict(ours.objects())
        again = len(lacking(run))
        for store in (theirs, ours):
            store.close()

    assert (len(objects), 0, {"crawled"}) == (
        from_bucket.files,
        from_bucket.parts,
        {name.partition("/")[0] for name in from_bucket.missing},
    )
    assert len(objects) == into_bucket.files
    assert {sha256: path.stat().st_size for sha256, path in objects.items()} == stored
    assert 0 == again


def test_a_connection_that_gives_nothing_is_told_while_others_work(split, monkeypatch):
    """SLOW is said of a source as soon as one of its connections waits for long."""
    monkeypatch.setattr(progress_room, "SLOW_S", 0.05)
    made, (first,) = split()
    was_told, is_first, told = threading.Event(), [True], []
    (open_real,) = sources(made, f"file://{first}").values()

    def stuck():
        real = open_real()

        def read_part(*asked):
            if is_first and is_first.pop():
                was_told.wait(30)
            return real.read_part(*asked)

        return Disguised(lambda: real, read_part=read_part)

    def tick(progress, left):
        told.append(progress_facts(progress, left)["stuck"])
        if "SLOW: nothing on a connection for" in told[-1] and progress["stuck"].files:
            was_told.set()

    pulled = pull(made.run, {"stuck": stuck}, on_tick=tick)

    assert was_told.is_set()
    assert 0 == pulled.left


def test_the_rate_that_is_told_is_a_recent_one():
    """What came long ago makes a source no faster now."""
    now = time.monotonic()
    one = Progress(channels=1, files=5, size_bytes=1_000_000_000)
    one._told.clear()
    one._told.extend([(now - 100, 0), (now - 50, 1_000_000_000), (now - 20, 1_000_000_000)])

    assert {"left": 7, "node": "5 files, 0.0 MB/s"} == progress_facts({"node": one}, 7)


def test_a_machine_that_drips_holds_nobody(split, monkeypatch):
    """A file of which hardly anything comes goes back, and is taken from another that has it."""
    monkeypatch.setattr(pace, "PATIENCE_S", 0.3)
    made, (first, second) = split(2)
    open_first, open_second = sources(made, f"file://{first}", f"file://{second}").values()

    def drip(*_):
        while True:
            time.sleep(0.02)
            yield b"x"

    pulled = pull(made.run, {"drip": lambda: Disguised(open_first, read=drip, read_part=drip), "good": open_second})

    assert [] == pulled.missing
    assert re.fullmatch(r"drip gave \d+ bytes in 0 s", pulled.troubles["drip"])
    assert files_of(second) == files_of(made.run.folder)

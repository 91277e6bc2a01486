"""A disk that fills: nothing is claimed until there is space, nothing is lost, and no item is to blame."""

import asyncio
import errno
import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from download_nodes import supervise
from download_nodes.audio import extract_audio
from download_nodes.local_trouble import LocalTroubleError
from download_nodes.measuring import Measurer
from download_nodes.spool import Comments, Spool
from download_nodes.transcode import transcode
from microlens.clock import now_ms
from microlens.database import LedgerFullError
from microlens.heartbeats import living
from microlens.records import Failure
from tests.crawler.site import comment
from tests.download_nodes.desk import Desk
from tests.download_nodes.fleet import wait_until
from tests.download_nodes.sharing import NO_COMMENTS
from tests.download_nodes.small_disk import small_disk

MIB = 1 << 20
POLITE = {"requests_per_second": 2000, "concurrency": 16, "max_attempts": 2}


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "small", size_bytes=24 * MIB) as made:
        yield made


@pytest.fixture
def desk_at(tmp_path, site, redis_url, monkeypatch):
    """A desk with its run, or with its store alone, on a small disk."""
    desks = []

    def make(folder, *, store=None, least_bytes=0, **changes):
        monkeypatch.setenv("MICROLENS_MIN_FREE_BYTES", str(least_bytes))
        if store is not None:
            monkeypatch.setenv("MICROLENS_STORE_URL", f"file://{store}")
        desks.append(Desk(folder, site, redis_url))
        desks[-1].make(politeness=POLITE, **changes)
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def add_films(desk, clip, count, size_bytes=MIB):
    """Videos of so many bytes, no two alike."""
    for number in range(count):
        body = clip.read_bytes()
        rest = size_bytes - len(body) - 8
        desk.site.files[f"/media/v{number}.mp4"] = (
            body + (rest + 8).to_bytes(4, "big") + b"free" + bytes([number]) * rest
        )
        desk.add_page(f"v{number}", media={"video": f"/media/v{number}.mp4"})
    desk.push()


@contextmanager
def working(desk, seconds=60.0):
    """A node that works in another thread, to the end of the block and of its work; what it raises is raised."""

    async def work():
        async with desk.node() as node:
            return await node.drain(seconds)

    with capture_logs() as logs, ThreadPoolExecutor(1) as thread:
        working_on = thread.submit(asyncio.run, work())
        yield logs
        working_on.result()


def events(logs):
    return [entry["event"] for entry in logs]


def is_told_low(desk):
    """Whether the node's heartbeat says so."""
    return [True] == [beat.is_disk_low for beat in living(desk.frontier, now_ms=now_ms())]


def check_all_is_there(desk, count):
    rows = desk.run.ledger.assets()

    assert count == len(rows)
    for row in rows:
        desk.run.store.verify(row["sha256"])
    assert {} == desk.run.ledger.failure_counts()
    assert 0 == desk.frontier.open_count(["media", "comments"])
    assert [] == list((desk.run.store.root / "tmp").iterdir())


def test_a_node_without_space_claims_nothing_until_there_is(disk, desk_at, clip):
    """It says so, in its log and its heartbeat, asks for nothing, and goes on by itself."""
    desk = desk_at(disk.folder, least_bytes=6 * MIB, filters=NO_COMMENTS)
    add_films(desk, clip, 4)
    disk.fill(but=5 * MIB)
    with working(desk) as logs:
        wait_until(lambda: is_told_low(desk), 20, lambda: logs)
        assert ["disk_low"] == events(logs)
        assert [] == desk.site.asked
        disk.free()

    assert ["disk_low", "disk_free_again"] == events(logs)
    check_all_is_there(desk, 4)
    assert {1} == set(desk.site.count().values())


@pytest.mark.parametrize("where", ["run", "store"])
def test_a_disk_that_fills_in_the_midst_of_transfers_loses_nothing(disk, desk_at, clip, tmp_path, where):
    """What does not fit is given up and fetched again; what fits is committed meanwhile; no failure is recorded."""
    store = {} if where == "run" else {"store": disk.folder / "store"}
    desk = desk_at(disk.folder if where == "run" else tmp_path / "elsewhere", filters=NO_COMMENTS, **store)
    add_films(desk, clip, 12)
    disk.fill(but=5 * MIB + MIB // 2)
    with working(desk) as logs:
        wait_until(lambda: is_told_low(desk), 20, lambda: logs)
        disk.free()

    check_all_is_there(desk, 12)
    assert {"disk_low", "disk_free_again"} == set(events(logs))


def test_a_node_that_waits_in_vain_ends_and_goes_on_later(disk, desk_at, clip, monkeypatch):
    """`work` without --forever says what to do, exit code 1; the same command finishes once there is space."""
    monkeypatch.setattr(supervise, "_DISK_PATIENCE_S", 1.0)
    desk = desk_at(disk.folder, filters=NO_COMMENTS)
    add_films(desk, clip, 12)
    disk.fill(but=4 * MIB + MIB // 2)

    with pytest.raises(LocalTroubleError, match=r"the disk of .* is full") as told:
        supervise.work(desk.run, desk.redis_url, processes=1)
    assert 1 == told.value.exit_code
    assert "run the same command" in told.value.hint
    disk.free()
    supervise.work(desk.run, desk.redis_url, processes=1)

    check_all_is_there(desk, 12)


def test_a_ledger_that_cannot_grow_is_waited_for(disk, desk_at, clip, tmp_path):
    """Files that are stored already are not committed and not lost: it is as if they had not been fetched."""
    desk = desk_at(disk.folder, store=tmp_path / "store", filters=NO_COMMENTS)
    add_films(desk, clip, 3)
    desk.site.files["/media/v1.mp4"] = b"<html>no film</html>"  # what cannot be written down is no failure either
    disk.fill()
    with working(desk) as logs:
        wait_until(lambda: is_told_low(desk), 20, lambda: logs)
        assert [] == desk.run.ledger.assets()
        disk.free()

    assert {"v0", "v2"} == {row["video_id"] for row in desk.run.ledger.assets()}
    assert {"v1/video": "not_media"} == desk.reasons()
    assert {"not_media": 1} == desk.run.ledger.failure_counts()


def test_comments_that_cannot_be_kept_are_asked_for_again(disk, desk_at, clip, make_cover, tmp_path):
    """Neither a spool nor a part that the disk has no space for costs a comment, or leaves half a file."""
    desk = desk_at(disk.folder, store=tmp_path / "store")
    desk.site.page_size = 50
    for number in range(4):
        desk.site.files[f"/media/v{number}.jpg"] = make_cover(tmp_path / "c.jpg").read_bytes()
        desk.site.files[f"/media/v{number}.mp4"] = clip.read_bytes()
        desk.site.comments[f"v{number}"] = [comment(1000 * number + at, "u", "word " * 200) for at in range(400)]
        desk.add_page(f"v{number}")
    desk.push()
    disk.fill(but=MIB // 2)
    with working(desk) as logs:
        wait_until(lambda: is_told_low(desk), 20, lambda: logs)
        disk.free()

    assert {f"v{number}": 400 for number in range(4)} == desk.run.ledger.collected()
    assert {row["id"] for rows in desk.site.comments.values() for row in rows} == {
        row["comment_id"] for row in desk.comments()
    }
    assert {} == desk.run.ledger.failure_counts()
    assert [] == list(desk.run.spool.iterdir())
    for kind in ("comments", "texts"):
        assert {part.path for part in desk.run.ledger.parts(kind)} == {
            path.relative_to(desk.run.folder).as_posix() for path in (desk.run.folder / "crawled" / kind).iterdir()
        }


def test_a_page_that_was_written_in_part_is_not_there(disk):
    """Half a line at the end of a spool is cut off, in whichever try: no later page is appended to it."""
    page = Comments(list(range(50)), [bytes(16)] * 50, ["text " * 100] * 50, [None] * 50, [1] * 50)
    spool = Spool.open(disk.folder / "spool", "v")
    spool.add(page, ["http://x.test/2"])
    disk.fill(but=8192)
    with pytest.raises(OSError, match="No space left"):
        spool.add(page, ["http://x.test/3"])
    spool.close()
    disk.free()
    again = Spool.open(disk.folder / "spool", "v")
    again.add(page, ["http://x.test/3"])
    again.close()

    assert ["http://x.test/2"] == spool.pending
    assert 2 == len(again.path.read_bytes().splitlines())
    assert ["http://x.test/3"] == Spool.open(disk.folder / "spool", "v").pending


def test_a_sound_that_does_not_fit_is_no_broken_sound(disk, clip, make_video, tmp_path):
    """Neither taken out as it is nor in another codec: the disk is to blame, and the video is measured again later."""
    long = make_video(tmp_path / "long.mp4", seconds=8)
    disk.fill(but=4096)
    with pytest.raises(OSError, match="No space left"), (disk.folder / "sound").open("w+b") as into:
        assert extract_audio(long, into) is None
    (disk.folder / "sound").unlink()
    heard = tmp_path / "heard"
    with heard.open("w+b") as into:
        assert extract_audio(long, into) is None

    async def both():
        async with Measurer() as measurer:
            with pytest.raises(OSError, match="No space left") as extracting:
                await measurer.extract_audio(long, disk.folder / "a", platform="p", video_id="v")
        (disk.folder / "a").unlink()
        with pytest.raises(OSError, match="No space left") as transcoding:
            await transcode(heard, disk.folder / "b", "flac", video_id="v")
        return {extracting.value.errno, transcoding.value.errno}

    assert {errno.ENOSPC} == asyncio.run(both())


def test_a_ledger_tells_a_full_disk_from_a_busy_one(disk, desk_at):
    """A write that does not fit is a LedgerFullError, nothing of it is there, and the next one is."""
    desk = desk_at(disk.folder)
    failure = Failure(
        "media", "v/cover", "sandbox", "v", "http://x.test", "gone", 404, 1, is_final=True, detail="d" * 9000
    )
    disk.fill()
    with pytest.raises(LedgerFullError, match="full"):
        desk.run.ledger.record_failure(failure)
    assert {} == desk.run.ledger.failure_counts()
    disk.free()
    desk.run.ledger.record_failure(failure)

    assert {"gone": 1} == desk.run.ledger.failure_counts()


@pytest.fixture
def full_database(postgres, monkeypatch):
    """A database whose tables lie on a small disk of the server's."""
    psycopg = pytest.importorskip("psycopg")
    # The server is another user, who cannot look into the test's own folder.
    with (
        tempfile.TemporaryDirectory(prefix="microlens-tables-") as name,
        small_disk(Path(name) / "disk", size_bytes=48 * MIB) as disk,
    ):
        Path(name).chmod(0o755)
        tables = disk.folder / "tables"
        tables.mkdir()
        shutil.chown(tables, "nobody")
        word = uuid.uuid4().hex
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE t{word} LOCATION '{tables}'")
            connection.execute(f"CREATE DATABASE d{word} TABLESPACE t{word}")
            monkeypatch.setenv("MICROLENS_DATABASE_URL", postgres.url.replace("/postgres?", f"/d{word}?"))
            try:
                yield disk
            finally:
                connection.execute(f"DROP DATABASE d{word} WITH (FORCE)")
                connection.execute(f"DROP TABLESPACE t{word}")


def test_a_server_without_space_is_waited_for(full_database, disk, desk_at, clip):
    """A node goes on by itself once there is space, though its own disk is as it was; no item counts an attempt."""
    desk = desk_at(disk.folder, filters=NO_COMMENTS)
    add_films(desk, clip, 3)
    full_database.fill()
    with working(desk) as logs:
        wait_until(lambda: is_told_low(desk), 20, lambda: logs)
        assert [] == desk.run.ledger.assets()
        full_database.free()

    assert {"disk_low", "disk_free_again"} == set(events(logs))
    check_all_is_there(desk, 3)

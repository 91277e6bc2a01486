"""Worker processes: one that is killed is replaced, and what it held is done by others."""

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from download_nodes import supervise
from download_nodes.backlog import outstanding
from microlens.errors import MicrolensError, RedisUnreachableError, StoreUnreachableError
from microlens.local_store import LocalStore
from microlens.records import AssetRecord
from tests.crawler.site import comment
from tests.download_nodes.desk import PLATFORM
from tests.download_nodes.fleet import wait_until


def workers():
    """Process ids of our own worker processes."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = status.read_text().rpartition(")")[2].split()
            line = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(words[1]) == os.getpid() and b"\0download_nodes\0" in line:
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(desk, make_cover, clip, tmp_path):
    """SIGKILL in the midst of the work: all of it is done in the end, and every comment counts once."""
    desk.make(politeness={"requests_per_second": 60, "concurrency": 8})
    cover = make_cover(tmp_path / "cover.jpg").read_bytes()
    rows = {}
    for number in range(8):
        video_id = f"v{number}"
        desk.site.files |= {f"/media/{video_id}.jpg": cover, f"/media/{video_id}.mp4": clip.read_bytes()}
        rows[video_id] = desk.site.comments[video_id] = [comment(100 * number + at, f"u{at}") for at in range(9)]
        desk.add_page(video_id)
    killed = []

    def kill_one(left):
        if not killed and any("cursor" in asked.path for asked in desk.site.asked):
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    supervise.work(desk.run, desk.redis_url, processes=2, on_tick=kill_one)

    assert killed
    assert [] == list(outstanding(desk.run, PLATFORM))
    assert dict.fromkeys(rows, 9) == desk.run.ledger.collected()
    wanted = Counter((name, row["id"]) for name, own in rows.items() for row in own)
    assert wanted == Counter((row["video_id"], row["comment_id"]) for row in desk.comments())
    assert 16 == len(desk.run.ledger.assets())
    assert [] == workers()


def test_workers_that_keep_dying_end_the_work(desk, monkeypatch):
    """A worker that cannot start is not started for ever: its last exit code is told."""
    desk.make()
    desk.add_page("v")
    monkeypatch.setattr(supervise, "_MAX_DEATHS", 1)
    monkeypatch.setattr(supervise, "_TICK_S", 0.01)

    def start(_run, _redis_url):
        return supervise.start_child(["/bin/false"])

    monkeypatch.setattr(supervise, "_start_worker", start)

    with pytest.raises(MicrolensError, match="died 2 times within 10 minutes, the last with code 1"):
        supervise.work(desk.run, desk.redis_url, processes=1)


def test_nothing_to_do_ends_at_once(desk):
    """Without work and without a crawl the supervisor comes back, and no worker stays."""
    desk.make()
    supervise.work(desk.run, desk.redis_url, processes=1)

    assert [] == workers()


def test_a_redis_that_goes_away_is_told_in_plain_words(desk):
    """A node whose doorbell finds no Redis ends with exit code 5, and says that nothing is lost."""
    desk.make()
    with pytest.raises(RedisUnreachableError, match="nothing is lost"):
        supervise._Doorbell("redis://127.0.0.1:1/0", desk.run.shared_name).ring(1)


def test_the_first_file_waits_for_no_look_at_the_store(desk, make_cover, tmp_path):
    """What the store has lost is found while the nodes work, and fetched again before the work ends."""
    desk.make(filters={"min_video_bytes": 10**9})
    for name in ("lost", "new"):
        body = make_cover(tmp_path / f"{name}.jpg", comment=name.encode()).read_bytes()
        desk.site.files[f"/media/{name}.jpg"] = body
        desk.add_page(name, media={"cover": f"/media/{name}.jpg"})
    desk.store(AssetRecord("sandbox", "lost", "cover", "", 5, "image/jpeg"))
    desk.run.store.path(desk.run.ledger.assets()[0]["sha256"]).unlink()
    asked_before_listed = []

    class Slow(LocalStore):
        """Lists nothing before the first file was asked for."""

        def objects(self, after=""):
            wait_until(lambda: desk.site.count()["/media/new.jpg"], 60)
            asked_before_listed.append(True)
            return super().objects(after)

    supervise.work(replace(desk.run, store=Slow(desk.run.store.root)), desk.redis_url, processes=1)

    assert [True] == asked_before_listed
    assert {"/media/lost.jpg": 1, "/media/new.jpg": 1} == {
        path: count for path, count in desk.site.count().items() if path.startswith("/media")
    }
    assert all(desk.run.store.has(row["sha256"]) for row in desk.run.ledger.assets())


def test_a_trouble_of_the_refill_ends_the_work(desk):
    """A store that cannot be listed is told as it is: nobody goes on without knowing what is lost."""

    class Away(LocalStore):
        def objects(self, after=""):
            raise StoreUnreachableError("the store is away")

    desk.make()
    with pytest.raises(StoreUnreachableError, match="the store is away"):
        supervise.work(replace(desk.run, store=Away(desk.run.store.root)), desk.redis_url, processes=1)

    assert [] == workers()

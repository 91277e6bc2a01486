"""Worker processes that stand still: ended, started again, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
import uuid
from functools import partial

import pytest

from download_nodes import supervise, watchdog
from download_nodes.watchdog import Watchdog
from microlens.frontier import Frontier
from microlens.heartbeats import Heartbeat, beat
from tests.download_nodes.desk import QUICK, recipe_of
from tests.download_nodes.test_supervise import workers

HERE, PATIENCE_S = "here", 0.4


@pytest.fixture
def frontier(redis_url):
    connected = Frontier.connect(redis_url, uuid.uuid4().hex, recipe_of("http://127.0.0.1").politeness)
    yield connected
    connected._redis.close()


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(watchdog, "_LOOK_EVERY_S", 0.05)


def says(frontier, process, up_s, node_id=HERE):
    beat(frontier, Heartbeat(node_id, process, 0, up_s, free_bytes=1, is_disk_low=False, in_work=0))


def watched(frontier, child, *, seconds=4 * PATIENCE_S, is_work_left=True, told=lambda _number: None):
    """Whether a process still lives after a while of being watched."""
    dog, until, number = Watchdog(frontier, HERE, patience_s=PATIENCE_S), time.monotonic() + seconds, 0
    while time.monotonic() < until and child.poll() is None:
        told(number)
        dog.check([child.pid], is_work_left=is_work_left)
        number += 1
        time.sleep(0.06)
    return child.poll() is None


@pytest.mark.parametrize("has_spoken", [True, False])
def test_a_process_that_falls_silent_is_killed(frontier, child, quick, has_spoken):
    """Whether it has said something once or, stuck while it starts, nothing at all."""
    if has_spoken:
        says(frontier, child.pid, 7.0)

    assert not watched(frontier, child)
    assert -signal.SIGKILL == child.returncode


def test_a_process_that_speaks_lives(frontier, child, quick):
    """Its age grows from word to word; that somebody else's does, on another machine, is no sign of life."""
    assert watched(frontier, child, told=lambda number: says(frontier, child.pid, float(number)))
    assert not watched(frontier, child, told=lambda number: says(frontier, child.pid, float(number), "there"))


def test_who_has_nothing_to_do_may_be_silent(frontier, child, quick):
    """Without work there is no job, and without a job nothing is said."""
    assert watched(frontier, child, is_work_left=False)


def test_a_watchdog_that_slept_blames_nobody(frontier, child, quick):
    """A laptop that was closed: its supervisor wakes up first, and the others' words are as old as its own."""
    dog = Watchdog(frontier, HERE, patience_s=PATIENCE_S)
    for _ in range(3):
        dog.check([child.pid], is_work_left=True)
        time.sleep(2 * PATIENCE_S)

    assert child.poll() is None


@pytest.mark.slow
def test_a_worker_that_was_stopped_costs_nothing(desk, make_cover, tmp_path, monkeypatch):
    """SIGSTOP in the midst of the work: `work` ends all the same, and all of it is done."""
    desk.make(politeness={**QUICK, "requests_per_second": 20}, filters={"min_video_bytes": 10**9})
    cover = make_cover(tmp_path / "cover.jpg").read_bytes()
    for number in range(40):
        desk.site.files[f"/media/v{number}.jpg"] = cover + bytes([number])
        desk.add_page(f"v{number}", media={"cover": f"/media/v{number}.jpg"})
    monkeypatch.setattr(watchdog, "_LOOK_EVERY_S", 0.5)
    monkeypatch.setattr(supervise, "Watchdog", partial(Watchdog, patience_s=5.0))
    stopped = []

    def stop_one(_left):
        if not stopped and any("/media/" in asked.path for asked in desk.site.asked):
            stopped.extend(workers())
            os.kill(stopped[0], signal.SIGSTOP)

    supervise.work(desk.run, desk.redis_url, processes=1, on_tick=stop_one)

    assert stopped
    assert 40 == len(desk.run.ledger.assets())
    assert [] == workers()

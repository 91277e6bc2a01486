"""What node processes say of themselves."""

import os
import subprocess
import sys
from dataclasses import replace

from microlens.heartbeats import (
    BEAT_S,
    DEAD_AFTER_S,
    Heartbeat,
    beat,
    forget,
    forget_gone,
    heard,
    keep_idle,
    living,
)

BEAT = Heartbeat(
    node_id="here", process=7, at_ms=1_000_000, up_s=3.5, free_bytes=10**12, is_disk_low=False, in_work=48,
    doing={"media": 40, "comments": 8}, waiting_for_bandwidth=3,
    done={"media": 10, "bytes": 1 << 40}, failures={"timeout": 2}, items_per_s=1.5, bytes_per_s=2e6,
)  # fmt: skip


def test_a_heartbeat_comes_back_as_it_was_told(make_frontier):
    """Every field, through Redis and back, seen by another machine."""
    beat(make_frontier(), BEAT)

    assert [BEAT] == living(make_frontier(), now_ms=BEAT.at_ms)


def test_the_newest_of_each_process_counts(make_frontier):
    """Of one process the last word, of several one each, by node and process."""
    frontier = make_frontier()
    others = [replace(BEAT, process=2), replace(BEAT, node_id="away", process=9)]
    for one in (BEAT, *others, newest := replace(BEAT, at_ms=BEAT.at_ms + 5, is_disk_low=True)):
        beat(frontier, one)

    assert [others[1], others[0], newest] == living(frontier, now_ms=BEAT.at_ms)


def test_a_process_that_is_silent_for_long_is_gone(make_frontier):
    """Up to half a minute it may be busy."""
    frontier = make_frontier()
    beat(frontier, BEAT)
    late_ms = int(DEAD_AFTER_S * 1000)

    assert [BEAT] == living(frontier, now_ms=BEAT.at_ms + late_ms - 1)
    assert [] == living(frontier, now_ms=BEAT.at_ms + late_ms)


def test_a_process_that_ended_can_be_forgotten(make_frontier):
    """Then nothing of it is left; forgetting nobody is no error."""
    frontier = make_frontier()
    beat(frontier, BEAT)
    frontier.forget_nodes([])
    assert ["here/7"] == list(frontier.nodes())
    frontier.forget_nodes(["here/7", "nobody"])

    assert {} == frontier.nodes()


def test_only_idle_processes_of_a_node_are_spoken_for(make_frontier):
    """One that works must speak for itself, or a loop that hangs would pass for living; another node's is not ours."""
    frontier = make_frontier()
    idle, busy, other = replace(BEAT, is_idle=True), replace(BEAT, process=8), replace(BEAT, node_id="x", is_idle=True)
    for one in (idle, busy, other):
        beat(frontier, one)
    later_ms = BEAT.at_ms + int(BEAT_S * 1000)
    keep_idle(frontier, "here", {7, 8}, now_ms=later_ms - 1)
    assert [idle, busy, other] == heard(frontier)
    keep_idle(frontier, "here", {7, 8}, now_ms=later_ms)

    assert [replace(idle, at_ms=later_ms), busy, other] == heard(frontier)


def test_who_was_silent_for_a_day_is_told_of_no_more(make_frontier):
    """Until then it is heard of, as one that died; one that ended well is forgotten at once."""
    frontier = make_frontier()
    for process in (7, 8, 9):
        beat(frontier, replace(BEAT, process=process, at_ms=BEAT.at_ms + process))
    forget(frontier, "here", [9])
    forget_gone(frontier, "there", now_ms=BEAT.at_ms + 8 + 24 * 3_600_000)

    assert [8] == [heartbeat.process for heartbeat in heard(frontier)]


def test_who_was_killed_on_this_machine_is_told_of_no_more(make_frontier):
    """Whoever begins to work there sees that the process is gone; of another machine nobody can tell."""
    frontier = make_frontier()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for node_id, process in (("here", ended.pid), ("here", os.getpid()), ("there", ended.pid)):
        beat(frontier, replace(BEAT, node_id=node_id, process=process))
    forget_gone(frontier, "here", now_ms=BEAT.at_ms)

    assert [("here", os.getpid()), ("there", ended.pid)] == [(one.node_id, one.process) for one in heard(frontier)]

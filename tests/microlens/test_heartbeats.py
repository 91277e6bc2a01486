"""What node processes say of themselves."""

from dataclasses import replace

from microlens.heartbeats import DEAD_AFTER_S, Heartbeat, beat, living

BEAT = Heartbeat(
    node_id="here", process=7, at_ms=1_000_000, up_s=3.5, free_bytes=10**12, is_disk_low=False, in_work=48,
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

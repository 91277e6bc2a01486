"""Many failures are said aloud, a few are not."""

import pytest
from structlog.testing import capture_logs

from download_nodes import alarm as room
from download_nodes.alarm import FailureAlarm


def told(outcomes, *, share=0.2):
    """What an alarm says of these: None is a success, a word a failure."""
    alarm = FailureAlarm(share=share)
    with capture_logs() as logs:
        for outcome in outcomes:
            if outcome is None:
                alarm.succeeded()
            else:
                alarm.failed(outcome)
    return logs


def test_a_share_above_the_threshold_is_told_with_its_reasons():
    """The commonest reasons, how many of how many, and what to do."""
    logs = told([None] * 31 + ["timeout"] * 7 + ["gone"] * 2)

    assert ["many_failures"] == [entry["event"] for entry in logs]
    assert (40, 0.23, {"timeout": 7, "gone": 2}) == tuple(logs[0][key] for key in ("of", "share", "reasons"))
    assert "microlens-build retry" in logs[0]["hint"]


@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        ["timeout"] * 39,
        [None] * 40 + ["timeout"] * 10,
        ["timeout"] * 39 + [None] * 200 + ["timeout"] * 40,
    ],
    ids=["nothing", "too few to tell", "just the threshold", "long ago"],
)
def test_what_is_no_trouble_is_not_told(outcomes):
    """A share is that of the newest 200, and not of fewer than 40; the threshold itself is no alarm."""
    assert [] == told(outcomes)


def test_the_alarm_does_not_ring_without_end(monkeypatch):
    """Once a minute at most; after that it is told again if it goes on."""
    assert 1 == len(told(["timeout"] * 500))
    monkeypatch.setattr(room, "_AGAIN_AFTER_S", 0.0)

    assert 500 - 39 == len(told(["timeout"] * 500))


def test_the_share_is_that_of_the_newest():
    """Nothing yet is none; old failures are forgotten."""
    alarm = FailureAlarm(share=1.0)
    assert 0.0 == alarm.share
    for _ in range(200):
        alarm.failed("gone")
    assert 1.0 == alarm.share
    for _ in range(50):
        alarm.succeeded()

    assert 0.75 == alarm.share

"""What a node asks of its hosts' budgets: together where it is the same moment, and never more than was granted."""

import asyncio
from types import SimpleNamespace

import pytest

from download_nodes.budget import Budget

HOST = "http://one.test"


class Granting:
    """A frontier that grants `limit` requests in all, and notes how many each question asked for."""

    def __init__(self, limit):
        self.left, self.wanted = limit, []

    def take_many(self, _host, wanted):
        self.wanted.append(wanted)
        granted = min(self.left, wanted)
        self.left -= granted
        return granted, 0.0 if granted == wanted else 7.0


def ask(frontier, times, *, rate=1.0, most=24):
    async def work():
        budget = Budget(frontier, rate, most=most)
        return await asyncio.gather(*(budget.ask(HOST) for _ in range(times)))

    return asyncio.run(work())


def test_requests_of_one_moment_are_one_question():
    """Those that are granted go; the others learn how long to wait."""
    frontier = Granting(3)

    assert [0.0, 0.0, 0.0, 7.0, 7.0] == ask(frontier, 5)
    assert [5] == frontier.wanted


def test_a_quick_host_is_asked_a_little_ahead():
    """What was granted in advance is used before Redis is asked again, and no more than that."""
    frontier = Granting(1000)

    async def work():
        budget = Budget(frontier, 200.0, most=24)
        return [await budget.ask(HOST) for _ in range(25)]

    assert [0.0] * 25 == asyncio.run(work())
    assert [10, 10, 10] == frontier.wanted


def test_what_was_granted_ahead_does_not_keep(monkeypatch):
    """A request of a moment ago is no request of now: the budget may be another machine's by then."""
    monkeypatch.setattr("download_nodes.budget._AHEAD_S", 0.05)
    frontier = Granting(1000)

    async def work():
        budget = Budget(frontier, 200.0, most=24)
        await budget.ask(HOST)
        await asyncio.sleep(0.1)
        await budget.ask(HOST)

    asyncio.run(work())

    assert [10, 10] == frontier.wanted


def test_whoever_asked_learns_that_redis_is_gone():
    """An error reaches every request that waits for the answer."""

    def fail(_host, _wanted):
        raise ConnectionError("gone")

    async def work():
        budget = Budget(SimpleNamespace(take_many=fail), 1.0, most=24)
        return await asyncio.gather(*(budget.ask(HOST) for _ in range(2)), return_exceptions=True)

    assert [ConnectionError] * 2 == [type(error) for error in asyncio.run(work())]


@pytest.mark.parametrize("times", [1, 24])
def test_a_slow_host_is_asked_for_no_more_than_is_needed(times):
    """At a request a second nothing is taken ahead."""
    frontier = Granting(1000)
    ask(frontier, times)

    assert [times] == frontier.wanted

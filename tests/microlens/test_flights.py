"""Addresses in the frontier: one item of all machines is at each, until it lands or its lease ends; and bytes."""

import time
import uuid

import redis
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from microlens.frontier import Frontier
from microlens.recipe import Politeness
from tests.microlens.conftest import FAST, SITE

ONE, TWO = b"1" * 16, b"\n\0" * 8


def test_one_item_of_all_machines_is_at_an_address(make_frontier):
    """The first may fetch; others, of the same machine or of another, may not; asked again, the first still may."""
    here, there = make_frontier(), make_frontier()

    assert [True, False, True] == here.board([(ONE, "a"), (ONE, "b"), (TWO, "c")])
    assert [False, False] == there.board([(ONE, "a"), (TWO, "c")])
    assert [True, False] == here.board([(ONE, "a"), (ONE, "b")])


def test_an_address_is_free_once_its_item_has_landed(make_frontier):
    """Only whoever is at it can give it free."""
    here, there = make_frontier(), make_frontier()
    here.board([(ONE, "a")])
    there.land([(ONE, "a")])
    here.land([(ONE, "b")])
    assert [False] == there.board([(ONE, "x")])
    here.land([(ONE, "a")])

    assert [True] == there.board([(ONE, "x")])
    assert [False] == here.board([(ONE, "a")])


def test_what_nobody_keeps_is_free_when_its_lease_ends(make_frontier):
    """A machine that died is not waited for; one that keeps its addresses has them for longer."""
    dead, alive, other = make_frontier(), make_frontier(), make_frontier()
    dead.board([(ONE, "a")], lease_s=0.2)
    alive.board([(TWO, "a")], lease_s=0.2)
    alive.keep_flying([(TWO, "a")], lease_s=60)
    dead.keep_flying([(TWO, "a")], lease_s=0.01)
    time.sleep(0.3)

    assert [True, False] == other.board([(ONE, "x"), (TWO, "x")])
    dead.keep_flying([(ONE, "a")])
    dead.land([(ONE, "a")])
    assert [False] == alive.board([(ONE, "y")])


def test_nothing_to_keep_or_to_land_is_nothing(make_frontier):
    """An empty list asks nothing of Redis."""
    frontier = make_frontier()
    before = frontier._redis.info("stats")["total_commands_processed"]
    frontier.await_landing([])
    frontier.keep_flying([])
    frontier.land([])

    assert before + 1 == frontier._redis.info("stats")["total_commands_processed"]


class _Airspace(RuleBasedStateMachine):
    """Two machines and a few items at a few addresses, against a table of who is where."""

    makes = None
    boardings = 0

    def __init__(self):
        super().__init__()
        self.machines = [self.makes(), self.makes()]
        self.at = {}

    places = st.tuples(st.integers(0, 1), st.sampled_from([ONE, TWO]), st.sampled_from(["a", "b\nc", "é"]))

    @rule(place=places)
    def board(self, place):
        machine, address, name = place
        holder = self.at.setdefault(address, (machine, name))
        _Airspace.boardings += 1

        assert [holder == (machine, name)] == self.machines[machine].board([(address, name)])

    @rule(place=places)
    def land(self, place):
        machine, address, name = place
        self.machines[machine].land([(address, name)])
        if self.at.get(address) == (machine, name):
            del self.at[address]

    @rule(place=places)
    def keep(self, place):
        machine, address, name = place
        self.machines[machine].keep_flying([(address, name)])

    def teardown(self):
        self.machines[0].clear()


def test_whatever_two_machines_do_an_address_has_one_item(make_frontier):
    """Boarding, keeping and landing in any order: never are two at one address (the rules of _Airspace assert it)."""
    _Airspace.makes = staticmethod(make_frontier)

    run_state_machine_as_test(_Airspace)

    assert 100 < _Airspace.boardings


def test_a_seconds_worth_of_bytes_may_go_at_once(make_frontier):
    """What is more is waited for, in proportion, by all machines that pay into one account."""
    here, there = make_frontier(), make_frontier()

    assert 0.0 == here.spend("host", 1_000_000, 1_000_000.0)
    assert 0.9 < there.spend("host", 1_000_000, 1_000_000.0) <= 1.0
    assert 2.9 < here.spend("host", 2_000_000, 1_000_000.0) <= 3.0
    assert 0.0 == here.spend("other", 1_000_000, 1_000_000.0)


def test_a_limit_is_kept_over_time(make_frontier):
    """Ten payments, each waited for: together they take as long as their bytes do, but for the first second's worth."""
    frontier: Frontier = make_frontier()
    began, waited = time.monotonic(), 0.0
    for _ in range(10):
        wait_s = frontier.spend("host", 150_000, 1_000_000.0)
        time.sleep(wait_s)
        waited += wait_s

    assert time.monotonic() - began >= 0.5 - 0.05
    assert waited <= 0.55


def test_bytes_that_were_not_read_can_be_given_back(make_frontier):
    """Then it is as if they had not been paid for; long afterwards it changes nothing."""
    frontier = make_frontier()
    frontier.spend("host", 1_000_000, 1_000_000.0)
    assert 3.9 < frontier.spend("host", 4_000_000, 1_000_000.0)
    frontier.spend("host", -4_000_000, 1_000_000.0)

    assert 0.0 == frontier.spend("host", 0, 1_000_000.0)
    assert 0.0 == frontier.spend("host", -9_000_000, 1_000_000.0)
    assert 0.0 == frontier.spend("host", 1_000_000, 1_000_000.0)


@given(sizes=st.lists(st.integers(0, 10**9), max_size=5), bytes_per_s=st.sampled_from([1.0, 1e6, 1e9]))
def test_the_wait_is_what_the_bytes_take(redis_url, sizes, bytes_per_s):
    """Whatever is paid, and however it is cut up: all bytes so far, less the time that has passed, less a second."""
    with redis.Redis.from_url(redis_url) as client:
        frontier = Frontier(client, f"spending-{uuid.uuid4().hex}", FAST)
        began, due_s = time.monotonic(), 0.0
        for size in sizes:
            due_s = max(due_s, time.monotonic() - began) + size / bytes_per_s
            wait_s = frontier.spend("a", size, bytes_per_s)

            assert abs(wait_s - max(0.0, due_s - (time.monotonic() - began) - 1.0)) < 0.5


def test_a_request_that_is_not_made_is_not_paid_for(make_frontier, items):
    """What a claim took of a host's budget can be given back: the next item is due at once, and not two of them."""
    slow = make_frontier(Politeness(requests_per_second=0.01, concurrency=8))
    slow.push(items(3))
    (first,) = slow.claim("page", 8).items
    assert () == slow.claim("page", 8).items
    slow.refund({SITE: 1})
    slow.give_back(first, after_s=60)
    (second,) = slow.claim("page", 8).items

    assert first.name != second.name
    assert () == slow.claim("page", 8).items
    slow.refund({})


def test_who_waits_is_due_when_the_other_has_landed(make_frontier, items):
    """It is given back, costs no attempt and no claim meanwhile, and need not be looked at again and again."""
    frontier = make_frontier()
    frontier.push(items(3, kind="media"))
    first, second, third = frontier.claim("media", 8).items
    frontier.board([(ONE, first.name)])
    frontier.await_landing([(ONE, second.name), (ONE, third.name)])
    assert () == frontier.claim("media", 8).items
    frontier.land([(ONE, first.name)])
    due = frontier.claim("media", 8).items

    assert {second.name, third.name} == {item.name for item in due}
    assert {0} == {item.attempt for item in due}
    assert 3 == frontier.open_count(["media"])


def test_who_waits_for_the_dead_is_due_in_the_end(make_frontier, items):
    """The other's machine is gone, and never says that it has landed."""
    dead, alive = make_frontier(), make_frontier()
    dead.board([(ONE, "a")], lease_s=0.4)
    alive.push(items(1, kind="media"))
    (item,) = alive.claim("media", 8).items
    alive.await_landing([(ONE, item.name)])
    assert () == alive.claim("media", 8).items
    time.sleep(0.5)

    assert (item,) == alive.claim("media", 8).items
    assert [True] == alive.board([(ONE, item.name)])


def test_who_waits_for_the_living_waits_on(make_frontier, items):
    """As long as whoever is at the address keeps it, nobody else need look."""
    frontier = make_frontier()
    frontier.push(items(2, kind="media"))
    first, second = frontier.claim("media", 8).items
    frontier.board([(ONE, first.name)], lease_s=0.3)
    frontier.await_landing([(ONE, second.name)])
    frontier.keep_flying([(ONE, first.name)], lease_s=60)
    time.sleep(0.4)
    assert () == frontier.claim("media", 8).items
    frontier.land([(ONE, first.name)])

    assert [second.name] == [item.name for item in frontier.claim("media", 8).items]


def test_who_comes_too_late_to_wait_is_due_at_once(make_frontier, items):
    """The other lands after the question whether it is there, and before the answer."""
    frontier = make_frontier()
    frontier.push(items(1, kind="media"))
    (item,) = frontier.claim("media", 8).items
    frontier.await_landing([(ONE, item.name)])

    assert (item,) == frontier.claim("media", 8).items

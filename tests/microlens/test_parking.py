"""Hosts that keep silent: parked after their robots.txt is asked for in vain, for all machines, until they answer."""

import time

import pytest

from microlens.frontier import LONGEST_PARKING_S
from microlens.recipe import Politeness

SITE, OTHER = "http://site.test", "http://other.test"
NOW = 2**50
"""Later than anything: sent after whatever was told before."""


def polite(**changes):
    return Politeness(**{"requests_per_second": 10_000, "concurrency": 256, "park_after": 2, **changes})


@pytest.fixture
def frontier(make_frontier, items):
    """Five items of each of two hosts, whose robots.txt is known."""
    frontier = make_frontier(polite(), knows=(SITE, OTHER))
    for host in (SITE, OTHER):
        frontier.push(items(5, host=host, prefix=host))
    return frontier


def fall_silent(frontier, times=2):
    """Requests for pages that bring nothing."""
    return [frontier.silent(SITE, sent_ms=NOW) for _ in range(times)][-1]


def park(frontier):
    """Silence, and then robots.txt asked for in vain."""
    fall_silent(frontier)
    return frontier.silent(SITE, sent_ms=NOW, is_robots=True)


def hosts_of(claim):
    return {item.url.rpartition("/")[0] for item in claim.items}


def test_a_silent_host_is_asked_for_its_robots_first(frontier):
    """After so many failures in a row nothing but robots.txt is asked of it; others go on."""
    before = fall_silent(frontier, times=1)
    first = frontier.claim("page", 2)
    fall_silent(frontier, times=1)
    claim = frontier.claim("page", 20)

    assert (1, 0.0) == (before.failures, before.parked_s)
    assert [SITE] == [request.host for request in claim.robots]
    assert {OTHER} == hosts_of(claim)
    assert 2 == len(first.items)


def test_a_host_that_gives_its_robots_is_well(frontier):
    """Then what was asked of it was at fault: it is not parked, and counts anew."""
    fall_silent(frontier)
    was_parked = frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)

    assert not was_parked
    assert {SITE, OTHER} == hosts_of(frontier.claim("page", 20))
    assert 1 == fall_silent(frontier, times=1).failures


def test_nothing_is_asked_of_a_parked_host_by_any_machine(frontier, make_frontier):
    """Neither pages nor robots.txt, by whatever process; the others' items are all given."""
    silence = park(frontier)
    another = make_frontier(polite(), knows=())
    claims = [each.claim("page", 20) for each in (another, frontier)]

    assert (3, 60.0) == (silence.failures, silence.parked_s)
    assert [{OTHER}, set()] == [hosts_of(claim) for claim in claims]
    assert [(), ()] == [claim.robots for claim in claims]
    assert 50 < another.take(SITE) <= 60


def test_parking_ends_with_a_request_for_robots(make_frontier, items):
    """Once its time is over one request is made, and its answer lets everything go on."""
    frontier = make_frontier(polite(park_s=0.05))
    frontier.push(items(3))
    park(frontier)
    time.sleep(0.06)
    claims = [frontier.claim("page", 9) for _ in range(2)]
    returned = frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)

    assert [1, 0] == [len(claim.robots) for claim in claims]
    assert [(), ()] == [claim.items for claim in claims]
    assert returned
    assert 3 == len(frontier.claim("page", 9).items)


def test_each_parking_is_longer(frontier):
    """It doubles from the recipe's first up to six hours; one failure more is enough for the next."""
    fall_silent(frontier)
    times = []
    for _ in range(12):
        time.sleep(0.002)
        sent_ms = frontier.claim("comments", 0).at_ms
        times.append(frontier.silent(SITE, sent_ms=sent_ms, is_robots=True).parked_s)

    assert [60.0 * 2**n for n in range(9)] == times[:9]
    assert [LONGEST_PARKING_S] * 3 == times[9:]


def test_what_was_sent_before_the_parking_tells_nothing_new(frontier):
    """Requests that were in flight when the host was parked make no further step."""
    sent_ms = frontier.claim("comments", 0).at_ms
    time.sleep(0.002)
    park(frontier)
    late = [frontier.silent(SITE, sent_ms=sent_ms, is_robots=is_robots) for is_robots in (True, False)]

    frontier.calm(SITE)
    late.append(frontier.silent(SITE, sent_ms=sent_ms))

    assert [(3, 0.0, True), (3, 0.0, True), (0, 0.0, True)] == [
        (silence.failures, silence.parked_s, silence.is_late) for silence in late
    ]


@pytest.mark.parametrize("answer", ["calm", "backoff", "robots"])
def test_an_answer_ends_a_parking(frontier, answer):
    """Whatever it says: the host is asked again, and its next parking is a first one."""
    park(frontier)
    if answer == "calm":
        assert frontier.calm(SITE)
    elif answer == "backoff":
        frontier.backoff(SITE, sent_ms=NOW, retry_after_s=None)
    frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)
    wait_s = frontier.take(SITE)

    assert wait_s < 2
    assert 60.0 == park(frontier).parked_s


def test_a_host_that_is_given_up_hands_out_its_work(frontier):
    """Its items can be claimed, so that they can fail; its silence goes on all the same."""
    park(frontier)
    frontier.set_robots(SITE, status=503, body="", lifetime_s=60, delay_s=0, is_answer=False)

    assert {SITE, OTHER} == hosts_of(frontier.claim("page", 20))
    assert 4 == fall_silent(frontier, times=1).failures


@pytest.mark.parametrize("trouble", ["silent", "backoff"])
def test_a_claim_tells_which_hosts_are_in_trouble(make_frontier, items, trouble):
    """Another process's failures and refusals are known to whoever claims, until an answer is told."""
    one, two = make_frontier(polite()), make_frontier(polite())
    one.push(items(3))
    at_ms = one.claim("comments", 0).at_ms
    if trouble == "silent":
        one.silent(SITE, sent_ms=at_ms)
    else:
        one.backoff(SITE, sent_ms=at_ms, retry_after_s=None)
        time.sleep(1.3)  # until it has rested
    before = two.claim("page", 2).troubled
    was_parked = two.calm(SITE)

    assert ({SITE}, False, frozenset()) == (before, was_parked, two.claim("page", 1).troubled)


def test_a_host_has_no_more_than_its_share_of_a_process(make_frontier, items):
    """However many places a host allows, a process gives it only so many of its own; the next host has the rest."""
    frontier = make_frontier(polite(), knows=(SITE, OTHER))
    for host in (SITE, OTHER):
        frontier.push(items(30, host=host, prefix=host))
    first = frontier.claim("page", 20, share=8)
    frontier.fetched("page", [item.name for item in first.items if item.url.startswith(OTHER)][:3])
    again = frontier.claim("page", 20, share=8, in_flight={SITE: 8, OTHER: 5})

    assert [8, 8] == [sum(item.url.startswith(host) for item in first.items) for host in (SITE, OTHER)]
    assert [0, 3] == [sum(item.url.startswith(host) for item in again.items) for host in (SITE, OTHER)]


def test_hosts_take_turns(make_frontier, items):
    """A host that was served goes behind those that were not."""
    hosts = [f"http://h{n}.test" for n in range(3)]
    frontier = make_frontier(polite(concurrency=1), knows=hosts)
    for host in hosts:
        frontier.push(items(9, host=host, prefix=host))
    time.sleep(0.003)  # equal times go by name
    claimed = []
    for _ in range(6):
        [item] = frontier.claim("page", 1).items
        claimed.append(item.url.rpartition("/")[0])
        frontier.ack("page", [item.name])
        time.sleep(0.002)

    assert hosts == sorted(claimed[:3]) == sorted(claimed[3:])


def test_a_request_for_robots_is_one_of_its_host_s(make_frontier, items):
    """It moves the host's clock as any other: the first page waits its turn after it."""
    frontier = make_frontier(polite(requests_per_second=0.1), knows=())
    frontier.push(items(2))
    robots = frontier.claim("page", 5).robots
    frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)

    assert 1 == len(robots)
    assert () == frontier.claim("page", 5).items
    assert 5 < frontier.take(SITE) <= 10


def test_robots_is_not_asked_for_while_its_host_rests(make_frontier, items):
    """A host that asked for calm gets it from every request."""
    frontier = make_frontier(polite(), knows=())
    frontier.push(items(2))
    frontier.backoff(SITE, sent_ms=NOW, retry_after_s=60)

    assert () == frontier.claim("page", 5).robots

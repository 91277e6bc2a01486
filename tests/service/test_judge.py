"""The judge of manners sees what it is there to see."""

from dataclasses import replace

import pytest

from tests.service.judge import Budget, Seen, complaints, most_at_once, most_over_rate

BUDGET = Budget(rate=10.0, concurrency=4, timeout_s=2.0)
HOST = "127.0.0.1"
NOON_S = 1_750_000_000.0


def seen(at_s, *, target="/v/a", took_s=0.01, status=200, retry_after=None):
    return Seen(HOST, target, status, NOON_S + at_s, NOON_S + at_s + took_s, None, retry_after)


ROBOTS = seen(-1.0, target="/robots.txt")
POLITE = [ROBOTS, *(seen(number / 10) for number in range(100))]


def judged(rows, *, kills=(), losses=()):
    rows = sorted(rows, key=lambda one: one.began_s)
    return complaints(rows, BUDGET, kills=[NOON_S + s for s in kills], losses=[NOON_S + s for s in losses])


def test_a_polite_crawl_is_not_complained_of():
    """Ten requests a second for ten seconds, after robots.txt, are what was allowed."""
    assert [] == judged(POLITE)


def test_a_host_that_gets_more_than_its_rate_complains():
    """One request in ten too many shows once there are more than burst and places allow."""
    hasty = [ROBOTS, *(seen(number / 11) for number in range(110))]

    assert ["127.0.0.1 got 10.9 requests more than its rate in some window, allowed are 6.0"] == judged(hasty)


def test_a_burst_of_all_places_is_allowed_and_not_one_more():
    """What was granted before may come at once: as many as there are places, the burst, and robots.txt."""
    allowed = int(BUDGET.burst) + BUDGET.concurrency + 1

    assert [] == judged([ROBOTS, *(seen(60, took_s=0.0) for _ in range(allowed))])
    assert 1 == len(judged([ROBOTS, *(seen(60, took_s=0.0) for _ in range(allowed + 1))]))


def test_too_many_at_once_are_complained_of():
    """Slow answers, asked for within the rate, may not overlap more often than there are places."""
    slow = [ROBOTS, *(seen(number / 5, took_s=2.0) for number in range(20))]

    assert ["127.0.0.1 had 10 requests at once, allowed are 5"] == judged(slow)


def test_a_client_that_gave_up_holds_no_place():
    """A request without an answer counts for no longer than its client's deadline."""
    stalled = [ROBOTS, *(seen(number * 0.6, took_s=60.0, status=0) for number in range(20))]

    assert [] == judged(stalled)
    assert 1 == len(judged([replace(one, status=200) for one in stalled]))


@pytest.mark.parametrize("retry_after", ["6", "Sun, 15 Jun 2025 15:06:50 GMT"])
def test_a_request_in_the_midst_of_a_rest_is_complained_of(retry_after):
    """After a 429 that names its end, a request later than the grace and before the end is a breach."""
    refused = seen(4.0, status=429, retry_after=retry_after)

    assert ["127.0.0.1 was asked for /v/b 3.0 s after a 429 that wanted 6.0 s of rest"] == judged(
        [ROBOTS, refused, seen(7.0, target="/v/b")]
    )
    assert [] == judged([ROBOTS, refused, seen(5.0), seen(10.1)])


def test_a_rest_that_nobody_could_tell_of_is_forgiven():
    """Whoever got the 429 was killed at once, or Redis forgot it; a kill long after it forgives nothing."""
    rows = [ROBOTS, seen(4.0, status=429, retry_after="6"), seen(7.0)]

    assert [] == judged(rows, kills=[4.5])
    assert [] == judged(rows, losses=[6.9])
    assert 1 == len(judged(rows, kills=[6.9]))


@pytest.mark.parametrize("retry_after", ["0", "soon", None])
def test_what_says_nothing_of_use_asks_for_no_rest(retry_after):
    """Zero, junk and nothing set no end that a request could precede."""
    assert [] == judged([ROBOTS, seen(4.0, status=429, retry_after=retry_after), seen(7.0)])


def test_a_request_before_robots_txt_is_complained_of():
    """The first thing that a host is asked for is its robots.txt."""
    assert ["127.0.0.1 was asked for /v/a before its robots.txt"] == judged(POLITE[1:])


def test_windows_of_all_lengths_count():
    """The worst window is found wherever it lies, and however long it is."""
    assert 3.0 == most_over_rate([0.0, 100.0, 100.0, 100.0, 200.0], 1.0)
    assert 6.0 == pytest.approx(most_over_rate([0.5 * number for number in range(11)], 1.0))


def test_spans_that_touch_do_not_overlap():
    """A request that begins when another ends is not open with it."""
    assert 1 == most_at_once([(0.0, 1.0), (1.0, 2.0)])
    assert 2 == most_at_once([(0.0, 1.5), (1.0, 2.0)])

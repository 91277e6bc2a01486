"""The frontier: dedup, leases, budgets of hosts, and what is left when Redis is not."""

import contextlib
import threading
import time
from dataclasses import replace

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from microlens.embedded import redis_server
from microlens.errors import RedisUnreachableError
from microlens.frontier import Frontier, RobotsRequest, host_of
from microlens.recipe import Politeness
from microlens.records import FrontierItem

SITE = "http://site.test"
KINDS = ("page", "media", "comments")
DEADLINE_S = 20.0


def names(claim):
    return [item.name for item in claim.items]


def claim_all(frontier, kind="page", *, wanted=100, lease_s=60.0):
    """Claim until nothing is due now."""
    found = []
    while claim := frontier.claim(kind, wanted, lease_s=lease_s).items:
        found += claim
    return found


def claim_some(frontier, kind="page", *, wanted=1, lease_s=60.0):
    """Claim, waiting as long as the frontier says, until there is something."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        claim = frontier.claim(kind, wanted, lease_s=lease_s)
        if claim.items:
            return claim.items
        time.sleep(min(claim.wait_s, 0.05))
    raise AssertionError("nothing became due")


# --- pushing ---


def test_an_item_is_pushed_once(frontier, items):
    """The same kind and name pushed again is left out, within one call and between two."""
    assert 3 == frontier.push([*items(3), *items(2)])
    assert 0 == frontier.push(items(3))
    assert 3 == frontier.open_count(["page"])


def test_an_item_is_new_only_once_even_after_its_ack(frontier, items):
    """What is done with stays known: pushed again, it does not come back."""
    frontier.push(items(2))
    frontier.ack("page", [item.name for item in claim_all(frontier)])

    assert 0 == frontier.push(items(2))
    assert () == frontier.claim("page", 5).items


def test_kinds_do_not_know_each_other(frontier, items):
    """A video's page and its comments may have one name: each is claimed, retried and acked alone."""
    for kind in ("page", "comments"):
        assert 1 == frontier.push(items(1, kind=kind, payload={"of": kind}))
    page, comments = (frontier.claim(kind, 5).items[0] for kind in ("page", "comments"))
    frontier.retry(page, after_s=0.5)
    frontier.ack("page", [page.name])

    assert ("page", "comments") == (page.payload["of"], comments.payload["of"])
    assert (0, 1) == (frontier.open_count(["page"]), frontier.open_count(["comments"]))
    frontier.retry(comments, after_s=0.5)
    assert 1 == claim_some(frontier, "comments")[0].attempt


def test_nothing_pushed_is_nothing(frontier):
    """An empty push adds nothing, and an empty frontier has nothing open."""
    assert 0 == frontier.push([])
    assert 0 == frontier.open_count(KINDS)
    assert () == frontier.claim("page", 5).items


def test_a_large_push_goes_in_batches(frontier, items):
    """More items than one script call takes are all counted and all there."""
    assert 1_203 == frontier.push(items(1_203))
    assert 1_203 == frontier.open_count(["page"])


@pytest.mark.parametrize("payload", [{}, {"list": []}, {"a": [[], {}, None, 0, "x\0\u4f60\u202e"]}, {"n": 2**53 + 1}])
def test_a_payload_is_unharmed(frontier, items, payload):
    """What was pushed is what is claimed, empty tables and lists included, also after a retry."""
    frontier.push(items(1, payload=payload))
    first = frontier.claim("page", 1).items[0]
    frontier.retry(first, after_s=0.5)

    assert payload == first.payload
    assert payload == claim_some(frontier)[0].payload


# --- robots ---


def test_nothing_of_a_host_is_given_before_its_robots(make_frontier, items):
    """The first claim of an unknown host asks for its robots.txt; items follow once that is known."""
    frontier = make_frontier(knows=())
    frontier.push(items(2))
    claim = frontier.claim("page", 5)

    assert () == claim.items
    assert (RobotsRequest(SITE, f"{SITE}/robots.txt"),) == claim.robots
    frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)
    assert "v0" == claim_some(frontier)[0].name


def test_robots_is_asked_for_once(make_frontier, items):
    """While one process fetches a host's robots.txt no other is sent for it, whatever it claims."""
    one, two = make_frontier(knows=()), make_frontier(knows=())
    for kind in KINDS:
        one.push(items(3, kind=kind))
    asked = [request for kind in KINDS for each in (one, two) for request in each.claim(kind, 5).robots]

    assert 1 == len(asked)


def test_robots_is_asked_for_once_a_host(make_frontier, items):
    """Every unknown host has its own request, and each takes one of the places that were wanted."""
    frontier = make_frontier(knows=())
    hosts = [f"http://h{n}.test" for n in range(5)]
    for host in hosts:
        frontier.push(items(2, host=host, prefix=host))
    asked = [*frontier.claim("page", 3).robots, *frontier.claim("page", 9).robots]

    assert hosts == sorted(request.host for request in asked)


def test_robots_is_asked_for_again_when_its_fetcher_died(make_frontier, items):
    """A robots.txt that nobody brought within a lease is asked for once more."""
    frontier = make_frontier(knows=())
    frontier.push(items(1))
    frontier.claim("page", 1, lease_s=0.05)
    end = time.monotonic() + DEADLINE_S
    while not (asked := frontier.claim("page", 1, lease_s=60).robots) and time.monotonic() < end:
        time.sleep(0.01)

    assert 1 == len(asked)


def test_a_robots_that_failed_is_left_for_a_while(make_frontier, items):
    """A host's failures are counted, and keep everyone from asking at once again."""
    frontier = make_frontier(knows=())
    frontier.push(items(1))
    frontier.claim("page", 1, lease_s=0.01)

    failed = [frontier.silent(SITE, sent_ms=1, is_robots=True, again_in_s=60) for _ in range(2)]

    assert [1, 2] == [silence.failures for silence in failed]
    time.sleep(0.1)
    assert () == frontier.claim("page", 1).robots


def test_robots_is_shared(make_frontier):
    """What one process fetched all can read; an unknown host has none."""
    one, two = make_frontier(knows=()), make_frontier(knows=())
    one.set_robots(SITE, status=200, body="User-agent: *", lifetime_s=60, delay_s=0)

    assert (200, "User-agent: *") == two.robots(SITE)
    assert two.robots("http://other.test") is None


def test_robots_is_fetched_anew_after_its_lifetime(make_frontier, items):
    """An old robots.txt is no robots.txt: items wait for a new one."""
    frontier = make_frontier(knows=())
    frontier.set_robots(SITE, status=404, body="", lifetime_s=0.05, delay_s=0)
    frontier.push(items(1))
    time.sleep(0.06)
    claim = frontier.claim("page", 1)

    assert frontier.robots(SITE) is None
    assert ((), 1) == (claim.items, len(claim.robots))


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.test/x?y#z", "http://a.test"),
        ("https://A.Test:8443/", "https://a.test:8443"),
        ("http://user:secret@a.test/x", "http://a.test"),
        ("http://[::1]:80/x", "http://[::1]"),
    ],
)
def test_a_host_is_an_origin(url, host):
    """A budget is kept for scheme, host and port, without user names and in one case."""
    assert host == host_of(url)


# --- budgets ---


def test_two_spellings_of_a_host_share_one_budget(make_frontier):
    """Case, the scheme's own port and a trailing dot give no host more than its places."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=2))
    urls = ["https://site.test/a", "https://SITE.test:443/b", "https://site.test./c", "https://site.test:0443/d"]
    frontier.push(FrontierItem("page", url, url, {}) for url in urls)

    claim = frontier.claim("page", 9)

    assert ["https://site.test"] == [request.host for request in claim.robots]
    assert () == claim.items


def test_a_host_has_so_many_places(make_frontier, items):
    """No more of a host is in flight than its concurrency; each freed place lets one more through."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=3))
    frontier.push(items(9))
    first = claim_all(frontier)
    frontier.fetched("page", [first[0].name])
    second = claim_all(frontier)
    frontier.ack("page", [first[1].name])
    frontier.retry(first[2], after_s=0.5)

    assert (3, 1) == (len(first), len(second))
    assert 2 == len(claim_all(frontier))


def test_places_are_shared_by_kinds_and_clients(make_frontier, items):
    """A host's places are one number for all machines and all kinds of work."""
    polite = Politeness(requests_per_second=10_000, concurrency=3)
    one, two = make_frontier(polite), make_frontier(polite)
    for kind in KINDS:
        one.push(items(3, kind=kind))

    assert 3 == sum(len(claim_all(each, kind)) for kind in KINDS for each in (one, two))


@pytest.mark.parametrize("freed", ["fetched", "ack", "retry"])
def test_a_place_is_freed_once(make_frontier, items, freed):
    """Freeing a place again, or freeing one never taken, makes no room for more than the concurrency."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=2))
    frontier.push(items(9))
    first = claim_all(frontier)[0]
    for _ in range(3):
        frontier.retry(first, after_s=0.5) if freed == "retry" else getattr(frontier, freed)(
            "page", [first.name, "nobody"]
        )
        frontier.fetched("page", [first.name])

    assert 1 == len(claim_all(frontier))


def test_a_rate_is_never_exceeded(make_frontier, items):
    """In any window of t seconds, on Redis's clock, a host gives at most rate * t requests and its burst."""
    rate, burst = 20, 2
    clients = [make_frontier(Politeness(requests_per_second=rate, concurrency=256)) for _ in range(2)]
    clients[0].push(items(100))
    at_ms, end = [], time.monotonic() + DEADLINE_S
    while len(at_ms) < 12 and time.monotonic() < end:
        for frontier in clients:
            claim = frontier.claim("page", 10)
            at_ms += [claim.at_ms] * len(claim.items)
        time.sleep(0.004)

    assert len(at_ms) >= 12
    for first in range(len(at_ms)):
        for last in range(first, len(at_ms)):
            # Redis counts whole milliseconds: one at each end.
            seconds = (at_ms[last] - at_ms[first] + 1) / 1000
            assert last - first + 1 <= rate * seconds + burst


def test_take_draws_on_the_same_budget(make_frontier, items):
    """A further request of a claimed item is one of the host's: claim and take share one clock."""
    frontier = make_frontier(Politeness(requests_per_second=0.1, concurrency=9))
    frontier.push(items(2))

    assert 1 == len(claim_all(frontier))
    assert 5 < frontier.take(SITE) <= 10
    assert 0.0 == frontier.take("http://other.test")
    assert () == frontier.claim("page", 1).items


def test_a_crawl_delay_overrides_the_rate(make_frontier, items):
    """A host that asks for 30 seconds between requests gets them, whatever the recipe's rate."""
    frontier = make_frontier()
    frontier.set_robots(SITE, status=200, body="", lifetime_s=60, delay_s=30)
    frontier.push(items(5))
    claim = frontier.claim("page", 5)

    assert 1 == len(claim.items)
    assert 20 < frontier.take(SITE) <= 30


def test_a_slower_recipe_overrides_a_crawl_delay(make_frontier, items):
    """The longer of the two waits holds."""
    frontier = make_frontier(Politeness(requests_per_second=0.01, concurrency=9))
    frontier.set_robots(SITE, status=200, body="", lifetime_s=60, delay_s=1)
    frontier.push(items(5))
    frontier.claim("page", 5)

    assert 80 < frontier.take(SITE) <= 100


def test_a_throttled_host_keeps_nobody_waiting(make_frontier, items):
    """While 300 hosts rest, are full or wait for robots, a host that is due gives all it has in one claim."""
    frontier = make_frontier(knows=())
    for n in range(300):
        host = f"http://a{n:03}.test"
        frontier.push(items(2, host=host, prefix=host))
        if n % 3:
            frontier.set_robots(host, status=404, body="", lifetime_s=60, delay_s=30 if n % 3 == 1 else 0)
            frontier.backoff(host, sent_ms=2**50, retry_after_s=60)
    frontier.claim("page", 1000)  # the robots requests
    frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)
    frontier.push(items(7))
    claimed = []
    for _ in range(3):  # a claim looks at 256 hosts at most
        claimed += names(frontier.claim("page", 1000))

    assert [f"v{n}" for n in range(7)] == claimed


def test_wait_says_when_to_ask_again(make_frontier, items):
    """An empty claim says for how long nothing can become due, a second at most."""
    frontier = make_frontier(Politeness(requests_per_second=1.25, concurrency=9))

    assert 1.0 == frontier.claim("page", 1).wait_s
    frontier.push(items(2))
    claim_all(frontier)
    assert 0 < frontier.claim("page", 1).wait_s <= 0.8


def test_smaller_priorities_come_first(frontier, items):
    """Within a host the smallest priority is claimed first, and equals go by name."""
    for priority in (5, -1, 0):
        frontier.push(items(2, prefix=f"p{priority}-", priority=priority))

    assert ["p-1-0", "p-1-1", "p0-0", "p0-1", "p5-0", "p5-1"] == names(frontier.claim("page", 6))


# --- leases ---


def test_an_expired_lease_comes_back(frontier, items):
    """What a dead process held is claimed by another, with the place that it took."""
    frontier.push(items(1))
    frontier.claim("page", 1, lease_s=0.2)
    again = claim_some(frontier)

    assert ["v0"] == [item.name for item in again]
    assert 0 == again[0].attempt


def test_a_leased_item_is_given_to_nobody_else(make_frontier, items):
    """While a lease lasts its item is in one hand."""
    one, two = make_frontier(), make_frontier()
    one.push(items(1))
    one.claim("page", 1, lease_s=60)

    assert () == one.claim("page", 1).items == two.claim("page", 1).items


def test_expired_leases_free_their_places(make_frontier, items):
    """A dead process blocks nobody: its host has all its places again."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=2))
    frontier.push(items(4))
    claim_all(frontier, lease_s=0.05)
    time.sleep(0.06)

    assert 2 == len(claim_all(frontier))
    assert 4 == frontier.open_count(["page"])


def test_a_renewed_lease_does_not_come_back(frontier, items):
    """A living process keeps what it renews and loses what it does not."""
    frontier.push(items(2))
    claim_all(frontier, lease_s=0.2)
    frontier.renew("page", ["v0"], lease_s=60)
    again = claim_some(frontier, wanted=9)
    time.sleep(0.05)

    assert ["v1"] == [item.name for item in (*again, *frontier.claim("page", 9).items)]


def test_renewing_an_item_that_is_done_brings_nothing_back(frontier, items):
    """A renewal that comes after the ack makes no new lease."""
    frontier.push(items(1))
    claim_all(frontier)
    frontier.ack("page", ["v0"])
    frontier.renew("page", ["v0", "nobody"], lease_s=0.01)
    time.sleep(0.02)

    assert () == frontier.claim("page", 1).items


def test_fetched_frees_the_place_and_keeps_the_lease(make_frontier, items):
    """Off the network an item takes no place, and still belongs to whoever claimed it."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=1))
    frontier.push(items(2))
    frontier.claim("page", 1)
    frontier.fetched("page", ["v0"])

    assert ["v1"] == [item.name for item in claim_all(frontier)]
    assert 2 == frontier.open_count(["page"])


def test_ack_is_idempotent(frontier, items):
    """An item is closed once, however often it is acked, and nothing open is ever negative."""
    frontier.push(items(2))
    claim_all(frontier)
    for _ in range(3):
        frontier.ack("page", ["v0", "v0", "never pushed"])

    assert 1 == frontier.open_count(["page"])
    assert 0 == frontier.open_count(["media", "comments"])


def test_what_a_late_owner_finished_is_not_handed_out(make_frontier, items):
    """An ack that comes after the lease ended, but before anybody else claimed the item, still closes it."""
    late, other = make_frontier(), make_frontier()
    late.push(items(2))
    late.claim("page", 1, lease_s=0.01)
    time.sleep(0.02)
    other.claim("page", 0)  # takes the expired lease back
    late.ack("page", ["v0"])

    assert ["v1"] == [item.name for item in claim_all(other)]
    assert 1 == other.open_count(["page"])


@pytest.fixture
def robbed(make_frontier, items):
    """Two owners of the only item, whose host has two places: the first woke up too late, the second holds it."""
    polite = Politeness(requests_per_second=10_000, concurrency=2)
    late, holder = make_frontier(polite), make_frontier(polite)
    late.push(items(1))
    item = late.claim("page", 1, lease_s=0.01).items[0]
    time.sleep(0.02)
    assert ["v0"] == names(holder.claim("page", 1, lease_s=60))
    return late, holder, item


@pytest.mark.parametrize("call", ["ack", "fetched", "renew", "retry", "give_back"])
def test_a_late_owner_touches_nothing_of_another_s(robbed, items, call):
    """Who lost a lease can neither close, free, lengthen nor give back what another has claimed since."""
    late, holder, item = robbed
    if call in {"retry", "give_back"}:
        getattr(late, call)(item, after_s=0.5)
    else:
        getattr(late, call)("page", [item.name])
    holder.push(items(5, prefix="w"))

    assert 6 == holder.open_count(["page"])
    assert 1 == len(claim_all(holder))  # of two places one is taken, and v0 is not among what is ready


def test_a_late_owner_renews_nothing(robbed):
    """Each owner is told how many of its leases it still holds."""
    late, holder, _ = robbed

    assert (0, 1) == (late.renew("page", ["v0"], lease_s=600), holder.renew("page", ["v0"], lease_s=0.01))
    time.sleep(0.02)
    assert ["v0"] == names(late.claim("page", 1))


@pytest.mark.parametrize("is_in_work", [True, False])
def test_what_is_forgotten_and_pushed_again_while_open_is_one_item(frontier, items, is_in_work):
    """A second copy of an item that somebody holds, or that is ready, is none, and counted as the one it is."""
    frontier.push(items(1))
    if is_in_work:
        claim_all(frontier)
    frontier.forget(items(1))
    frontier.push(items(1))
    again = claim_all(frontier)
    counted = frontier.open_count(["page"])
    frontier.ack("page", ["v0"])

    assert (0 if is_in_work else 1, 1, 0) == (len(again), counted, frontier.open_count(["page"]))


def test_no_names_is_no_call(frontier):
    """Empty lists are fine everywhere."""
    for call in (frontier.ack, frontier.fetched, frontier.renew):
        call("page", [])

    assert 0 == frontier.open_count(KINDS)


# --- retries ---


def test_a_retry_is_counted(frontier, items):
    """An item given back returns, and says how often it failed."""
    frontier.push(items(1))
    item = frontier.claim("page", 1).items[0]
    for attempt in (1, 2):
        frontier.retry(item, after_s=0.5)
        item = claim_some(frontier)[0]

        assert attempt == item.attempt
    assert 1 == frontier.open_count(["page"])


def test_a_later_attempt_waits_longer(frontier, items):
    """An item that failed eight times rests for about two minutes, and is open meanwhile."""
    frontier.push(items(1))
    item = frontier.claim("page", 1).items[0]
    frontier.retry(replace(item, attempt=8), after_s=128.0)

    assert () == frontier.claim("page", 1).items
    assert 1 == frontier.open_count(["page"])


def test_a_retry_of_an_item_that_is_done_is_nothing(frontier, items):
    """A late retry brings nothing back."""
    frontier.push(items(1))
    item = frontier.claim("page", 1).items[0]
    frontier.ack("page", [item.name])
    frontier.retry(item, after_s=0.5)

    assert 0 == frontier.open_count(["page"])


def test_a_retry_by_whoever_lost_the_lease_doubles_nothing(make_frontier, items):
    """A slow process whose item went to another cannot make two of it, nor take a place of its host for ever."""
    frontier = make_frontier(Politeness(requests_per_second=10_000, concurrency=2))
    frontier.push(items(1))
    slow = frontier.claim("page", 1, lease_s=0.02).items[0]
    time.sleep(0.03)
    frontier.claim("page", 0)  # takes the expired lease back
    frontier.retry(slow, after_s=0.5)
    claim_some(frontier)
    time.sleep(0.7)  # longer than the first retry's delay
    twice = frontier.claim("page", 5).items
    frontier.ack("page", ["v0"])
    frontier.push(items(4, prefix="w"))

    assert () == twice
    assert 2 == len(claim_all(frontier))


# --- backoff ---


def backed_off(frontier, *, sent_ms, retry_after_s=None):
    return frontier.backoff(SITE, sent_ms=sent_ms, retry_after_s=retry_after_s)


def redis_now(frontier):
    return frontier.claim("comments", 0).at_ms


def test_a_backoff_rests_the_host_for_every_kind(frontier, items):
    """After a refusal nothing of the host is claimed or taken until it has rested."""
    frontier.push([*items(2), *items(2, kind="media")])
    sent = redis_now(frontier)
    rest_s = backed_off(frontier, sent_ms=sent)

    assert 1.0 <= rest_s <= 1.26
    assert ((), ()) == (frontier.claim("page", 1).items, frontier.claim("media", 1).items)
    assert 0 < frontier.take(SITE) <= rest_s


def test_one_event_is_one_step(frontier):
    """Fifty requests sent before the host refused are one refusal; one sent after is the next step."""
    sent = redis_now(frontier)
    rests = [backed_off(frontier, sent_ms=sent - n) for n in range(50)]
    time.sleep(0.002)
    second = backed_off(frontier, sent_ms=redis_now(frontier))

    assert max(rests) <= 1.26
    assert 2.0 <= second <= 2.52


def test_steps_double(frontier):
    """Each further event doubles the rest, up to about twenty minutes."""
    rests = []
    for _ in range(13):
        time.sleep(0.002)
        rests.append(backed_off(frontier, sent_ms=redis_now(frontier)))

    assert all(2**n <= rest <= 1.26 * 2**n for n, rest in enumerate(rests[:11]))
    assert all(1024 <= rest <= 1.26 * 1024 for rest in rests[10:])


def test_retry_after_is_obeyed(frontier):
    """A host that says how long gets at least so long, also when another answer of the same event said nothing."""
    sent = redis_now(frontier)
    backed_off(frontier, sent_ms=sent)
    asked = backed_off(frontier, sent_ms=sent, retry_after_s=90)
    silent = backed_off(frontier, sent_ms=sent)

    assert 80 < asked <= 90
    assert 80 < silent <= 90
    assert 80 < frontier.take(SITE) <= 90


def test_a_short_retry_after_shortens_nothing(frontier):
    """What a host asks for is a least: the step's own rest stays."""
    rest_s = backed_off(frontier, sent_ms=redis_now(frontier), retry_after_s=0.001)

    assert rest_s >= 1.0


def test_calm_begins_again_small(frontier):
    """After an answer that was no refusal the next event is a first one."""
    backed_off(frontier, sent_ms=redis_now(frontier))
    frontier.calm(SITE)
    time.sleep(0.002)

    assert backed_off(frontier, sent_ms=redis_now(frontier)) <= 1.26


# --- several clients ---


def test_every_item_is_given_to_exactly_one_client(make_frontier, items):
    """Four clients claim 1,000 items of five hosts at once: every item goes to one of them, none to two."""
    hosts = [f"http://h{n}.test" for n in range(5)]
    clients = [make_frontier(knows=hosts) for _ in range(4)]
    for host in hosts:
        clients[0].push(items(200, host=host, prefix=host))
    got = [[] for _ in clients]

    def drain(frontier, mine):
        end = time.monotonic() + DEADLINE_S
        while frontier.open_count(["page"]) and time.monotonic() < end:
            claim = frontier.claim("page", 13, lease_s=60)
            mine += names(claim)
            frontier.fetched("page", names(claim))
            frontier.ack("page", names(claim))
            if not claim.items:
                time.sleep(min(claim.wait_s, 0.01))

    threads = [threading.Thread(target=drain, args=pair) for pair in zip(clients, got, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(f"{host}{n}" for host in hosts for n in range(200)) == sorted(name for mine in got for name in mine)


def test_runs_do_not_know_each_other(redis_url, items):
    """Two runs on one Redis have two frontiers, and clearing one leaves the other."""
    with redis.Redis.from_url(redis_url) as client:
        one, two = (Frontier(client, run_id, Politeness()) for run_id in ("runs-a", "runs-ab"))
        one.push(items(3))
        two.push(items(2))
        one.clear()

        assert (0, 2) == (one.open_count(["page"]), two.open_count(["page"]))
        two.clear()


class Clients(RuleBasedStateMachine):
    """Whatever is done in whatever order: an item is in one hand at most, and what is open is counted."""

    held = Bundle("held")
    url = ""

    def __init__(self):
        super().__init__()
        self.client = redis.Redis.from_url(self.url)
        self.client.flushdb()
        polite = Politeness(requests_per_second=10_000, concurrency=3)
        self.owners = [Frontier(self.client, "machine", polite) for _ in range(2)]
        self.owners[0].set_robots(SITE, status=404, body="", lifetime_s=600, delay_s=0)
        self.open, self.known, self.hands = set(), set(), {}

    def teardown(self):
        self.client.close()

    @rule(number=st.integers(0, 8), kind=st.sampled_from(["page", "comments"]))
    def push(self, number, kind):
        key = (kind, f"v{number}")
        added = self.owners[0].push([FrontierItem(kind, key[1], f"{SITE}/{number}", {})])
        assert added == (key not in self.known)
        self.known.add(key)
        if added:
            self.open.add(key)

    @rule(target=held, kind=st.sampled_from(["page", "comments"]), owner=st.integers(0, 1))
    def claim(self, kind, owner):
        claim = self.owners[owner].claim(kind, 1, lease_s=600)
        for item in claim.items:
            assert (item.kind, item.name) in self.open - set(self.hands)
            self.hands[item.kind, item.name] = owner
        return (owner, claim.items[0]) if claim.items else None

    @rule(claimed=held)
    def lapse(self, claimed):
        """Its owner sleeps for longer than its lease, and somebody notices."""
        if claimed is not None:
            _, item = claimed
            self.client.zadd(f"mlb:{{machine}}:lease:{item.kind}", {item.name: 1}, xx=True)
            self.owners[0].claim(item.kind, 0)
            self.hands.pop((item.kind, item.name), None)

    @rule(claimed=held)
    def ack(self, claimed):
        if claimed is not None:
            owner, item = claimed
            self.owners[owner].ack(item.kind, [item.name])
            if self.hands.get((item.kind, item.name), owner) == owner and self.was_taken(item):
                self.open.discard((item.kind, item.name))
                self.hands.pop((item.kind, item.name), None)

    def was_taken(self, item):
        """An ack of what is ready, and was not taken back from a late owner, closes nothing."""
        return not any(
            member.split(b":", 1)[1].startswith(item.name.encode())
            for member in self.client.zrange(f"mlb:{{machine}}:ready:{item.kind}:{SITE}", 0, -1)
        )

    @rule(claimed=held, call=st.sampled_from(["retry", "give_back"]))
    def retry(self, claimed, call):
        if claimed is not None:
            owner, item = claimed
            getattr(self.owners[owner], call)(item, after_s=0.5)
            if self.hands.get((item.kind, item.name)) == owner:
                del self.hands[item.kind, item.name]

    @rule(claimed=held)
    def fetched(self, claimed):
        if claimed is not None:
            owner, item = claimed
            self.owners[owner].fetched(item.kind, [item.name])

    @invariant()
    def open_is_counted(self):
        type(self).checks += 1
        for kind in ("page", "comments"):
            assert self.owners[0].open_count([kind]) == sum(each == kind for each, _ in self.open)

    @invariant()
    def places_are_those_in_use(self):
        holders = [entry for kind in KINDS for entry in self.client.hvals(f"mlb:{{machine}}:holder:{kind}")]
        places = int(self.client.hget(f"mlb:{{machine}}:host:{SITE}", "places") or 0)
        assert places == sum(not entry.endswith(b"\n") for entry in holders)
        assert 0 <= places <= 3
        assert len(holders) == len(self.hands)


def test_any_order_of_calls_keeps_the_books(client):
    """However pushes, claims, acks and retries follow each other, items, places and counts agree."""
    with _own_database(client) as url:
        Clients.url = url
        Clients.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None, derandomize=True)
        Clients.checks = 0
        Clients.TestCase().runTest()

    # What must hold is asserted by the machine's invariants, after every step.
    assert 25 <= Clients.checks


@contextlib.contextmanager
def _own_database(client):
    # The machine empties its database before each example; the other tests live in number 0.
    path = client.connection_pool.connection_kwargs["path"]
    yield f"unix://{path}?db=5"
    with redis.Redis.from_url(f"unix://{path}?db=5") as own:
        own.flushdb()


# --- a Redis that is lost ---


def test_a_cleared_frontier_takes_everything_again(frontier, items):
    """No item of a lost frontier is remembered, so that the ledger can push it whole again; no lease takes a place."""
    frontier.push(items(5))
    claim_all(frontier)
    frontier.clear()

    assert 0 == frontier.open_count(KINDS)
    assert 5 == frontier.push(items(5))
    assert 5 == len(claim_all(frontier))


def test_a_host_that_asked_for_rest_is_left_alone_though_all_is_cleared(frontier, items):
    """Nodes may be at work on a new Redis when `recover` clears it: what a host has told them since holds."""
    frontier.push(items(1))
    frontier.backoff(SITE, sent_ms=frontier.claim("page", 0).at_ms, retry_after_s=30)
    frontier.clear()
    frontier.push(items(1))
    claim = frontier.claim("page", 1)

    assert ((), ()) == (claim.items, claim.robots)
    assert 25 < frontier.take(SITE) <= 30


def test_clearing_leaves_no_item_half_known(make_frontier, client, items):
    """Somebody who pushes all the while that others clear loses nothing for good: whatever is seen has its item."""
    pusher, clearer = make_frontier(), make_frontier()
    pushed = items(3000)
    thread = threading.Thread(target=lambda: [pusher.push(pushed) for _ in range(6)])
    thread.start()
    while thread.is_alive():
        clearer.clear()
    thread.join()
    pusher.push(pushed)

    assert 3000 == pusher.open_count(KINDS) == client.zcard(f"{pusher._prefix}ready:page:{SITE}")


def test_a_restarted_redis_is_used_as_before(frontier, client, items):
    """Scripts and keys gone, the same client goes on: old acks are harmless and new pushes arrive."""
    frontier.push(items(3))
    claim_all(frontier)
    client.script_flush()
    frontier.clear()
    frontier.ack("page", ["v0"])
    frontier.set_robots(SITE, status=404, body="", lifetime_s=60, delay_s=0)

    assert 3 == frontier.push(items(3))
    assert 3 == len(claim_all(frontier))


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f.push([FrontierItem("page", "v", SITE, {})]),
        lambda f: f.claim("page", 1),
        lambda f: f.open_count(["page"]),
        lambda f: f.robots(SITE),
        lambda f: f.take(SITE),
        lambda f: f.ack("page", ["v"]),
        lambda f: f.clear(),
    ],
)
def test_a_redis_that_is_gone_is_an_error_of_ours(call):
    """Every call to a server that does not answer ends with exit code 5 and says that nothing is lost."""
    client = redis.Redis.from_url("redis://:hunter2@127.0.0.1:1/0")
    with client, pytest.raises(RedisUnreachableError, match="nothing is lost: start it") as refused:
        call(Frontier(client, "gone", Politeness()))

    assert 5 == refused.value.exit_code
    assert "hunter2" not in str(refused.value)


# --- memory ---


def test_digests_are_stored_raw_in_compact_sets(frontier, client, items):
    """Twenty thousand items leave twenty thousand raw digests of 16 bytes, in sets that stay listpacks."""
    frontier.push(items(20_000))
    keys = list(client.scan_iter(match=f"{frontier._prefix}seen:*", count=5000))
    with client.pipeline(transaction=False) as pipe:
        for key in keys[:2000]:
            pipe.object("encoding", key)
            pipe.smembers(key)
        answers = pipe.execute()
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.scard(key)
        counted = sum(pipe.execute())

    assert 20_000 == counted
    assert {b"listpack"} == set(answers[::2])
    assert {16} == {len(digest) for members in answers[1::2] for digest in members}


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.text(max_size=5)), max_size=30))
@settings(max_examples=25)
def test_a_name_is_new_once_a_kind(redis_url, pushed):
    """A push counts each pair of kind and name once, whatever the names are."""
    with redis.Redis.from_url(redis_url) as client:
        frontier = Frontier(client, "property", Politeness())
        try:
            added = frontier.push(FrontierItem(kind, name, f"{SITE}/x", {}) for kind, name in pushed)

            assert len(set(pushed)) == added == frontier.open_count(KINDS)
        finally:
            frontier.clear()


def test_a_redis_without_memory_is_told_in_plain_words(items):
    """A server that refuses to take more is no bug: the error says so, and that nothing is lost."""
    with redis_server(None) as url, redis.Redis.from_url(url) as client:
        full = Frontier(client, "full", Politeness())
        client.config_set("maxmemory", "1kb")

        with pytest.raises(RedisUnreachableError, match="Redis refuses") as caught:
            full.push(items(5))

    assert "nothing is lost" in caught.value.hint


@pytest.mark.parametrize("is_delayed", [False, True])
def test_what_is_forgotten_and_pushed_again_is_one_item(make_frontier, items, is_delayed):
    """Somebody has it, or it waits for its next try; its lease or its wait ends before the copy is claimed."""
    dead, alive = make_frontier(), make_frontier()
    dead.push(items(1))
    (item,) = dead.claim("page", 1, lease_s=0.2).items
    if is_delayed:
        dead.retry(item, after_s=0.2)
    alive.forget(items(1))
    alive.push(items(1))
    time.sleep(0.3)
    claimed = alive.claim("page", 8).items
    alive.ack("page", [each.name for each in claimed])

    assert 1 == len(claimed)
    assert 0 == alive.open_count(["page"])

"""What a process makes of hosts that answer, refuse or keep silent, and what the ledger keeps of it."""

import hashlib

import pytest

from microlens.host_ledger import RobotsFetch
from microlens.hosts import Hosts
from microlens.robots import LIFETIME_S, MAX_BODY_BYTES
from microlens.runs import open_or_create

SITE, OTHER, LINKED = "http://site.test", "http://other.test", "http://linked.test"
RULES = b"User-agent: *\nDisallow: /v/\nCrawl-delay: 3\n"
NOW = 2**50


@pytest.fixture
def make_hosts(make_frontier, make_recipe, run_settings):
    """A process's hosts, of a run with two instances."""
    opened = []

    def make(**politeness):
        polite = {"requests_per_second": 10_000, "park_after": 2, **politeness}
        recipe = make_recipe(instances=[SITE, OTHER], politeness=polite)
        run, _ = open_or_create(recipe, run_settings())
        opened.append(run)
        return Hosts(run, make_frontier(recipe.politeness, knows=())), run.ledger.hosts

    yield make
    for run in opened:
        run.ledger.close()


def fail(hosts, host, times=1):
    return [hosts.robots_failed(host, "timeout", sent_ms=NOW) for _ in range(times)]


# --- silence ---


def test_the_first_failure_is_the_request_s_own(make_hosts):
    """Those after it in a row may be the host's; an answer begins anew."""
    hosts, _ = make_hosts()
    faults = [hosts.silent(f"{SITE}/v", sent_ms=NOW) for _ in range(3)]
    hosts.answered(f"{SITE}/w")

    assert [False, True, True, False] == [*faults, hosts.silent(f"{SITE}/v", sent_ms=NOW)]


def test_an_instance_is_parked(make_hosts):
    """Silent even when its robots.txt is asked for, it is left alone for a while, and the ledger says so."""
    hosts, ledger = make_hosts()

    assert ["again", "parked"] == fail(hosts, SITE, 2)
    assert [(SITE, "timeout", 1)] == [(each.host, each.reason, each.times) for each in ledger.parked()]


def test_a_host_that_has_answered_before_is_parked(make_hosts):
    """Whoever chose it, it exists: its work waits."""
    hosts, ledger = make_hosts()
    hosts.robots_answered(LINKED, 404, b"", sent_ms=NOW)

    assert ["again", "parked"] == fail(hosts, LINKED, 2)
    assert [LINKED] == [each.host for each in ledger.parked()]


def test_a_host_that_never_answered_is_given_up(make_hosts):
    """A page may link to a host that does not exist: its work fails at once."""
    hosts, ledger = make_hosts()

    assert ["again", "given_up"] == fail(hosts, LINKED, 2)
    assert [] == ledger.parked()
    assert "robots_unreachable" == hosts.robots.why_not(f"{LINKED}/v")


def test_a_host_is_given_up_after_long_silence(make_hosts):
    """Then its work fails, and it is waited for no longer."""
    hosts, ledger = make_hosts(give_up_after_s=0)

    assert ["again", "given_up"] == fail(hosts, SITE, 2)
    assert [] == ledger.parked()


@pytest.mark.parametrize("answer", ["page", "robots"])
def test_a_parked_host_returns_with_its_first_answer(make_hosts, answer):
    """It is no longer listed, here and on every other machine."""
    hosts, ledger = make_hosts()
    fail(hosts, SITE, 2)
    hosts.silent(f"{SITE}/v", sent_ms=NOW)
    if answer == "page":
        hosts.answered(f"{SITE}/v")
    else:
        hosts.robots_answered(SITE, 200, RULES, sent_ms=NOW)

    assert [] == ledger.parked()


def test_parkings_in_a_row_are_counted(make_hosts):
    """Of a host the last parking is listed, with how often it was tried in vain."""
    hosts, ledger = make_hosts(park_s=0.001)
    outcomes = fail(hosts, SITE, 4)

    assert ["again", "parked", "parked", "parked"] == outcomes
    assert [(SITE, 3)] == [(each.host, each.times) for each in ledger.parked()]


def test_all_instances_silent_from_the_start_are_nothing_to_wait_for(make_hosts):
    """With one that has ever answered there is: it may come back."""
    hosts, _ = make_hosts()
    told = [hosts.are_all_instances_silent()]
    for host in (SITE, OTHER):
        fail(hosts, host, 2)
        told.append(hosts.are_all_instances_silent())
    hosts.robots_answered(SITE, 404, b"", sent_ms=NOW)
    told.append(hosts.are_all_instances_silent())

    assert [False, False, True, False] == told


# --- what is recorded ---


def test_every_robots_txt_is_kept(make_hosts):
    """Status, lifetime, crawl delay and text of each fetch; a text that comes again is kept once."""
    hosts, ledger = make_hosts()
    for _ in range(2):
        hosts.robots_answered(SITE, 200, RULES, sent_ms=NOW)
    hosts.robots_answered(SITE, 404, b"none", sent_ms=NOW)
    hosts.robots_answered(SITE, 503, b"later", sent_ms=NOW)
    fail(hosts, SITE)
    again = RobotsFetch(SITE, 200, RULES, LIFETIME_S, 3.0)

    assert [
        again,
        again,
        RobotsFetch(SITE, 404, b"none", LIFETIME_S, 0.0),
        RobotsFetch(SITE, 503, b"later", failure="server_error"),
        RobotsFetch(SITE, None, failure="timeout"),
    ] == ledger.robots_fetches(SITE)
    assert {"hosts": 1, "fetches": 5, "failed": 2} == ledger.robots_counts()


def test_a_text_is_kept_under_its_hash(make_hosts):
    """As far as it is read, byte by byte, so that anybody can check it."""
    hosts, ledger = make_hosts()
    hosts.robots_answered(SITE, 200, b"\xef\xbb\xbf#" + b"x" * MAX_BODY_BYTES, sent_ms=NOW)
    [fetch] = ledger.robots_fetches(SITE)
    with ledger._database.read() as connection:
        rows = connection.exec_driver_sql("SELECT sha256, body FROM robots_text").all()

    assert MAX_BODY_BYTES == len(fetch.body)
    assert [(hashlib.sha256(fetch.body).hexdigest(), fetch.body)] == [tuple(row) for row in rows]


def test_no_copy_is_used_for_longer_than_a_day(make_hosts, client):
    """RFC 9309, section 2.4: after 24 hours it is fetched anew."""
    hosts, _ = make_hosts()
    hosts.robots_answered(SITE, 200, RULES, sent_ms=NOW)
    lifetime_ms = client.pttl(f"{hosts._frontier._prefix}robots:{SITE}")

    assert 23.9 * 3_600_000 < lifetime_ms <= 24 * 3_600_000


@pytest.mark.parametrize(("status", "has_answered"), [(200, True), (404, True), (429, False), (500, False)])
def test_an_answer_is_one_that_says_what_is_allowed(make_hosts, status, has_answered):
    """A server error, or a plea for calm, is none."""
    hosts, ledger = make_hosts()
    hosts.robots_answered(LINKED, status, b"", sent_ms=NOW)

    assert has_answered == ledger.has_answered(LINKED)

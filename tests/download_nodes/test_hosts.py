"""Hosts that stall, and hosts that redirects lead to, as a node treats them: judged by what they were asked."""

import asyncio
import itertools
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from protego import Protego

from download_nodes import courtesy, fetch, node
from download_nodes.resolver import GuardedResolver
from microlens import robots
from tests.crawler.site import HOSTS, Reply

SHARE = node.WIDTH // 2
COUNT = SHARE + 12
DEADLINE_S = 30.0


IMPATIENT = {"requests_per_second": 2000, "idle_s": 1.5}
"""A fetch that is stalled is given up after a moment."""


def serve(desk, *numbers, count=COUNT):
    """Covers at these hosts, so many each."""
    for number in numbers:
        for n in range(count):
            path = f"/media/{number}-{n}.jpg"
            desk.site.files[path] = b"not a picture"
            desk.add_page(f"h{number}-{n}", media={"cover": desk.site.address(number) + path})


def drain_until(desk, is_enough, seconds=DEADLINE_S):
    """One node that works until a test has seen enough."""
    desk.push()

    async def work():
        async with desk.node() as working:
            draining = asyncio.create_task(working.drain(seconds))
            while not draining.done() and not is_enough():  # noqa: ASYNC110 - what is waited for lies in a database
                await asyncio.sleep(0.02)
            working.stop()
            return await draining

    return asyncio.run(work())


def parked(desk):
    return [each.host for each in desk.run.ledger.hosts.parked()]


def test_a_stalling_host_keeps_nobody_waiting(desk):
    """It is parked and reported; the two others have given everything before its first stalled request is given up."""
    polite = {**IMPATIENT, "concurrency": 256, "park_after": 2, "max_attempts": 2}
    desk.make(politeness=polite)
    serve(desk, 0, 1, 2)
    # It answers once, for its robots.txt: a host that never has is given up instead.
    desk.site.stalls = lambda asked: asked.host.startswith(HOSTS[2]) and len(desk.site.times_of(HOSTS[2])) > 1
    drain_until(desk, lambda: parked(desk))
    asked = [(each.host.partition(":")[0], each.path) for each in desk.site.asked]
    probe = len(asked) - 1 - asked[::-1].index((HOSTS[2], "/robots.txt"))
    reasons = desk.reasons()

    assert [desk.site.address(2)] == parked(desk)
    assert {f"h{number}-{n}/cover" for number in (0, 1) for n in range(COUNT)} <= set(reasons)
    assert {"not_media"} == set(reasons.values())  # nothing of the stalling host has failed for good
    assert 2 * COUNT == sum(host != HOSTS[2] and path != "/robots.txt" for host, path in asked[:probe])
    # Its share of the places, and one for a place that came free before the second failure in a row.
    assert SHARE <= sum(host == HOSTS[2] and path != "/robots.txt" for host, path in asked) <= SHARE + 2
    assert COUNT == desk.frontier.open_count(["media"])


def test_a_host_that_returns_gives_everything(desk):
    """Once it answers again its parking is over, and nothing of it is lost, whatever its failures were."""
    desk.make(politeness={**IMPATIENT, "concurrency": 2, "park_after": 2, "park_s": 0.2, "max_attempts": 2})
    serve(desk, 1, count=5)
    desk.site.stalls = lambda asked: asked.host.startswith(HOSTS[1]) and 1 < len(desk.site.times_of(HOSTS[1])) < 7
    drain_until(desk, lambda: False)

    assert {f"h1-{n}/cover": "not_media" for n in range(5)} == desk.reasons()
    assert [] == parked(desk)
    assert 3 <= len([each for each in desk.site.asked if each.path == "/robots.txt"])


def test_one_file_that_stalls_is_given_up_and_its_host_is_not(desk):
    """A host that gives its robots.txt is well: the file's tries are counted, and nothing is parked."""
    desk.make(politeness={**IMPATIENT, "concurrency": 4, "park_after": 1, "max_attempts": 2})
    serve(desk, 0, count=3)
    desk.site.stalls = lambda asked: asked.path == "/media/0-1.jpg"
    drain_until(desk, lambda: False)

    assert {"h0-0/cover": "not_media", "h0-1/cover": "timeout", "h0-2/cover": "not_media"} == desk.reasons()
    assert [] == parked(desk)


def test_a_host_that_never_answers_is_given_up(desk):
    """A media host that gives not even a robots.txt costs its own files, to be opened again by `retry`."""
    desk.make(politeness={**IMPATIENT, "concurrency": 4, "park_after": 1, "max_attempts": 2})
    serve(desk, 0, 1, count=2)
    desk.site.stalls = lambda asked: asked.host.startswith(HOSTS[1])
    drain_until(desk, lambda: False)

    assert {"robots_unreachable": 2, "not_media": 2} == {
        reason: list(desk.reasons().values()).count(reason) for reason in desk.reasons().values()
    }
    assert {"/robots.txt": 1} == dict(desk.site.count(HOSTS[1]))


def test_a_name_server_that_fails_for_a_moment_costs_nothing(desk, monkeypatch):
    """Two lookups of a host that nobody has asked before fail: it is asked again, and all its files are fetched."""
    lookups = []

    def lookup(_host, port, **_more):
        lookups.append(port)
        if len(lookups) <= 2:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    monkeypatch.setattr(fetch, "GuardedResolver", lambda policy: GuardedResolver(policy, lookup))
    desk.make(politeness={**IMPATIENT, "concurrency": 4})
    for n in range(3):
        desk.site.files[f"/media/{n}.jpg"] = b"not a picture"
        desk.add_page(f"v{n}", media={"cover": f"http://cdn.test:{urlsplit(desk.site.url).port}/media/{n}.jpg"})
    drain_until(desk, lambda: False)

    assert {f"v{n}/cover": "not_media" for n in range(3)} == desk.reasons()
    assert 3 <= len(lookups)


def test_no_robots_txt_is_parsed_on_the_event_loop(desk, monkeypatch):
    """Half a megabyte of rules takes half a second, in which no transfer may stand still; it is parsed once."""
    parsed, parse = [], Protego.parse
    monkeypatch.setattr(
        robots.Protego, "parse", lambda text: parsed.append((len(text), threading.current_thread())) or parse(text)
    )
    desk.make(politeness={"requests_per_second": 2000, "concurrency": 8})
    desk.site.robots = "User-agent: *\n" + "".join(f"Disallow: /v/{number:06}\n" for number in range(2000))
    for n in range(8):
        desk.add_page(f"v{n}", media={"cover": f"{desk.site.address(0)}/from/{n}"})
        desk.site.script(f"/from/{n}", Reply(302, headers={"Location": f"{desk.site.address(1)}/to/{n}"}))
        desk.site.files[f"/to/{n}"] = b"not a picture"
    desk.drain()

    assert {"not_media"} == set(desk.reasons().values())
    assert [len(desk.site.robots)] * 2 == [size for size, _ in parsed]
    assert threading.main_thread() not in {thread for _, thread in parsed}


def test_a_redirect_s_target_is_paid_for_at_its_host(desk):
    """Eight files that lead to one host are asked for there at that host's own rate, its robots.txt first."""
    desk.make(politeness={"requests_per_second": 10, "concurrency": 8})
    for n in range(8):
        desk.add_page(f"v{n}", media={"cover": f"{desk.site.address(n % 2)}/from/{n}"})
        desk.site.script(f"/from/{n}", Reply(302, headers={"Location": f"{desk.site.address(2)}/to/{n}"}))
        desk.site.files[f"/to/{n}"] = b"not a picture"
    began = time.monotonic()
    desk.drain()
    there = desk.site.times_of(HOSTS[2])

    assert 8 == len(desk.reasons())
    assert 9 == len(there)
    assert "/robots.txt" == next(each.path for each in desk.site.asked if each.host.startswith(HOSTS[2]))
    # Ten a second: nine of them need eight tenths.
    assert there[-1] - there[0] >= 0.75
    assert time.monotonic() - began < DEADLINE_S


def test_a_redirect_to_a_resting_host_waits_and_counts_no_attempt(desk, monkeypatch):
    """The item goes back until that host may be asked; its own host is not kept waiting."""
    monkeypatch.setattr(courtesy, "_PATIENCE_S", 0.2)
    desk.make(politeness={"requests_per_second": 2000, "concurrency": 8, "max_attempts": 1})
    serve(desk, 0, count=3)
    desk.site.script("/media/0-1.jpg", *[Reply(302, headers={"Location": f"{desk.site.address(1)}/to"})] * 9)
    desk.site.files["/to"] = b"not a picture"
    desk.drain(first=lambda: desk.frontier.backoff(desk.site.address(1), sent_ms=2**50, retry_after_s=2.5))
    there, here = desk.site.times_of(HOSTS[1]), desk.site.times("/media/0-2")

    assert {f"h0-{n}/cover": "not_media" for n in range(3)} == desk.reasons()
    assert 2 == len(there)
    assert here[0] < there[0]
    assert 2 == desk.site.count()["/media/0-1.jpg"]


@pytest.mark.parametrize("steps", [5, 6])
def test_a_robots_txt_may_be_five_redirects_away(desk, steps):
    """RFC 9309, section 2.3.1.2: five are followed, to another host too; what is farther away is not there."""
    desk.make(politeness={"requests_per_second": 2000, "park_after": 1, "max_attempts": 1})
    serve(desk, 1, count=1)
    chain = [f"{desk.site.address(1)}/robots.txt", *(f"{desk.site.address(2)}/{n}" for n in range(steps))]
    for start, end in itertools.pairwise(chain):
        desk.site.script(urlsplit(start).path, Reply(302, headers={"Location": end}))
    desk.site.files[f"/{steps - 1}"] = b"User-agent: *\nDisallow: /media/\n"
    desk.drain()

    assert {"h1-0/cover": "robots" if steps == 5 else "robots_unreachable"} == desk.reasons()
    assert 0 == desk.site.count(HOSTS[1])["/media/1-0.jpg"]


def test_a_site_that_names_a_new_dead_host_each_time_wears_nobody_out(desk, monkeypatch):
    """Waiting for hosts that nobody has ever heard of counts a little each time: the item ends, with its reason."""
    monkeypatch.setattr(courtesy, "RETRY_S", 0.02)
    desk.make(politeness={**IMPATIENT, "max_attempts": 2})
    away = [Reply(status=302, headers={"Location": f"http://127.0.0.{number}:9/x"}) for number in range(100, 150)]
    desk.site.script("/media/v.jpg", *away)
    desk.add_page("v", media={"cover": "/media/v.jpg"})
    desk.drain()

    assert {"v/cover": "robots_unreachable"} == desk.reasons()
    assert 21 == desk.site.count()["/media/v.jpg"]

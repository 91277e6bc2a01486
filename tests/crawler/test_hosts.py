"""Hosts that stall, and hosts that redirects lead to, as a crawl treats them: judged by what they were asked."""

import itertools
import json
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from crawler.pump import SHARE
from tests.crawler.site import HOSTS, Reply, Video

NETWORK = {"allow": ["127.0.0.0/8"]}
FULL = {"requests_per_second": 2000, "concurrency": 256, "timeout_s": 2.5, "park_after": 2}


def linked(site, count, *numbers):
    """A home page whose one video leads to so many others at each of these hosts; gives their names."""
    names = {number: [f"h{number}-{n}" for n in range(count)] for number in numbers}
    links = [f"{site.address(number)}/v/{name}" for number in numbers for name in names[number]]
    site.videos = {name: Video() for each in names.values() for name in each}
    site.videos["seed"] = Video(related=tuple(links))
    site.homes = [["seed"]]
    return names


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_a_stalling_host_keeps_nobody_waiting(crawl, site):
    """It is parked and told of by log, progress and status; two others have given all before its first time-out."""
    names = linked(site, 70, 1, 2, 0)
    site.stalls = lambda asked: asked.host.startswith(HOSTS[2]) and len(site.times_of(HOSTS[2])) > 1
    command = crawl.start(site, politeness=FULL, network=NETWORK, expansion={"related_per_page": 1000})
    wait_for(lambda: (crawl.run_folder / "run.json").exists() and crawl.parked())
    _, environment = crawl.prepare(site)
    told = subprocess.run(
        [sys.executable, "-m", "microlens.cli", "status", str(crawl.run_folder), "--json"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    command.stop()
    code, said = command.wait()
    found = crawl.look()
    asked = [(each.host.partition(":")[0], each.path) for each in site.asked]
    probe = len(asked) - 1 - asked[::-1].index((HOSTS[2], "/robots.txt"))

    assert 0 == code
    assert {"seed", *names[0], *names[1]} == set(found.pages)
    assert {None} == set(found.pages.values())
    assert {*names[0], *names[1]} <= {path.removeprefix("/v/") for _, path in asked[:probe]}
    assert SHARE <= sum(host == HOSTS[2] and path != "/robots.txt" for host, path in asked) <= SHARE + 2
    assert [site.address(2)] == [parked["host"] for parked in json.loads(told.stdout)["parked"]]
    assert "host_parked" in said
    assert f"parked {site.address(2)} (timeout) until" in said


def test_a_host_that_returns_gives_everything(crawl, site):
    """A crawl with nothing but a parked host left waits for it; none of its pages is lost to its silence."""
    names = linked(site, 4, 1)
    site.stalls = lambda asked: asked.host.startswith(HOSTS[1]) and 1 < len(site.times_of(HOSTS[1])) < 6
    polite = {"timeout_s": 1.0, "park_after": 2, "park_s": 0.3, "max_attempts": 3, "concurrency": 2}
    said = crawl(site, politeness=polite, network=NETWORK)
    found = crawl.look()

    assert found.is_finished
    assert dict.fromkeys(["seed", *names[1]]) == found.pages
    assert "host_parked" in said
    assert [] == crawl.parked()


def test_a_page_that_stalls_is_given_up_and_its_host_is_not(crawl, site):
    """A host that gives its robots.txt is well: the page's tries are counted, and nothing is parked."""
    linked(site, 3, 1)
    site.stalls = lambda asked: asked.path == "/v/h1-1"
    crawl(site, politeness={"timeout_s": 0.5, "park_after": 1, "max_attempts": 2}, network=NETWORK)
    found = crawl.look()

    assert {"seed": None, "h1-0": None, "h1-1": "timeout", "h1-2": None} == found.pages
    assert [] == crawl.parked()


def test_an_instance_that_is_silent_for_too_long_ends_the_crawl(crawl, site):
    """It had answered before, so it is waited for; then the exit code is 5, and the same command goes on."""
    names = linked(site, 3, 0)
    site.stalls = lambda asked: len(site.asked) > 3
    polite = {"timeout_s": 0.4, "park_after": 1, "park_s": 0.2, "give_up_after_s": 4.0}
    said = crawl(site, expect=5, politeness=polite)
    site.stalls = lambda _asked: False
    crawl(site, politeness=polite)

    assert f"{site.url}/robots.txt" in said
    assert "host_parked" in said
    assert dict.fromkeys(["seed", *names[0]]) == crawl.look().pages


def test_one_dead_instance_does_not_end_the_crawl_of_another(crawl, site):
    """With one that answers, the other is parked; what can be read is read."""
    site.videos, site.homes = {"a": Video(), "b": Video()}, [["a", "b"]]
    site.stalls = lambda asked: asked.host.startswith(HOSTS[1])
    polite = {"timeout_s": 0.4, "park_after": 1}
    command = crawl.start(site, politeness=polite, network=NETWORK, instances=[site.url, site.other_url])
    wait_for(lambda: (crawl.run_folder / "run.json").exists() and crawl.parked())
    wait_for(lambda: crawl.look().homes)
    command.stop()
    code, _ = command.wait()

    assert 0 == code
    assert [site.other_url] == [parked.host for parked in crawl.parked()]


def test_a_redirect_s_target_is_paid_for_at_its_host(crawl, site):
    """Pages that lead to another host are asked for there at that host's own rate, its robots.txt first."""
    names = [f"v{n}" for n in range(8)]
    site.videos, site.homes = {name: Video() for name in names}, [names]
    for name in names:
        site.script(f"/v/{name}", Reply(302, headers={"Location": f"{site.address(1)}/v/{name}"}))
    crawl(site, politeness={"requests_per_second": 10, "concurrency": 8}, network=NETWORK)
    there = site.times_of(HOSTS[1])

    assert dict.fromkeys(names) == crawl.look().pages
    assert "/robots.txt" == next(each.path for each in site.asked if each.host.startswith(HOSTS[1]))
    assert 9 == len(there)
    # Ten a second: nine of them need eight tenths.
    assert there[-1] - there[0] >= 0.75


@pytest.mark.parametrize("steps", [5, 6])
def test_a_robots_txt_may_be_five_redirects_away(crawl, site, steps):
    """RFC 9309, section 2.3.1.2: five are followed, to another host too; what is farther away is not there."""
    linked(site, 1, 1)
    site.robots = "User-agent: *\nAllow: /\n"
    chain = ["/robots.txt", *(f"{site.address(2)}/{n}" for n in range(steps))]
    site.script("/robots.txt", Reply(body=b""))  # of the instance
    for start, end in itertools.pairwise(chain):
        site.script(urlsplit(start).path, Reply(302, headers={"Location": end}))
    site.files[f"/{steps - 1}"] = b"User-agent: *\nDisallow: /v/\n"
    crawl(site, politeness={"park_after": 1, "max_attempts": 1}, network=NETWORK)

    assert {5: "robots", 6: "robots_unreachable"}[steps] == crawl.look().pages["h1-0"]
    assert 0 == site.count(HOSTS[1])["/v/h1-0"]

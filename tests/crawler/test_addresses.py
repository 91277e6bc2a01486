"""Hosts that pages lead to: names that stand for forbidden addresses, and hosts whose robots.txt is not known."""

from types import SimpleNamespace

import pytest
from twisted.internet import defer
from twisted.internet.base import ThreadedResolver

from crawler.resolver import ForbiddenLookupError, GuardedResolver, was_refused
from microlens.network import NetworkPolicy
from tests.crawler.site import Reply, Video

ODD = {"decimal": "2130706434", "hexadecimal": "0x7f.2", "mapped": "[::ffff:127.0.0.2]", "six": "[::1]"}


def test_no_spelling_of_an_address_slips_through(crawl, site):
    """Linked or redirected to, whatever stands for a forbidden address opens no connection."""
    linked = [f"http://{host}:{site.port}/v/{name}" for name, host in ODD.items()]
    moved = {f"to-{name}": f"http://{host}:{site.port}/v/good" for name, host in ODD.items()}
    for name, url in moved.items():
        site.script(f"/v/{name}", Reply(302, headers={"Location": url}))
    site.videos = {"good": Video(related=tuple(linked))}
    site.homes = [["good", *moved]]
    crawl(site)
    found = crawl.look()

    assert found.is_finished
    assert dict.fromkeys([*ODD, *moved], "forbidden_address") | {"good": None} == found.pages
    assert {f"127.0.0.1:{site.port}"} == {asked.host for asked in site.asked}


def test_a_name_on_a_permitted_address_is_crawled(crawl, site):
    """What counts is the address that the name stands for."""
    site.videos, site.homes = {"good": Video()}, [["good"]]
    crawl(site, url=f"http://localhost:{site.port}")

    assert {"good": None} == crawl.look().pages


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_forbidden_instance_is_named_at_once(crawl, site, host):
    """Nothing is asked of it; the exit code is 5, and the hint says what to write in the recipe."""
    said = crawl(site, expect=5, url=f"http://{host}:{site.port}", network={"allow": ["10.0.0.0/8"]})

    assert "network.allow" in said
    assert [] == site.asked


def test_a_cached_answer_is_checked_again(monkeypatch):
    """A name that moves between a permitted address and a forbidden one is refused whenever it is the latter."""
    answers = iter(["93.184.216.34", "10.0.0.1"])
    monkeypatch.setattr(ThreadedResolver, "getHostByName", lambda *_: defer.succeed(next(answers)))
    resolvers = [GuardedResolver(SimpleNamespace(), 0, 1.0, NetworkPolicy([])) for _ in range(2)]
    seen = []
    for resolver in resolvers:
        resolver.getHostByName("moving.test").addBoth(seen.append)
    cached = GuardedResolver(SimpleNamespace(), 10, 1.0, NetworkPolicy([]))
    monkeypatch.setattr("scrapy.resolver.dnscache", {"inside.test": "10.0.0.1"})
    cached.getHostByName("inside.test").addBoth(seen.append)

    assert "93.184.216.34" == seen[0]
    assert [ForbiddenLookupError] * 2 == [failure.type for failure in seen[1:]]
    assert was_refused("Inside.test")


def test_redirects_to_an_unknown_host_have_its_robots_txt_fetched_once(crawl, site):
    """It comes before anything else of that host, is shared, and is obeyed."""
    names = [f"v{number}" for number in range(5)]
    site.robots = "User-agent: *\nDisallow: /secret/\n"
    site.videos = {name: Video() for name in names}
    site.homes = [[*names, "hidden"]]
    for name in names:
        site.script(f"/v/{name}", Reply(302, headers={"Location": f"{site.other_url}/v/{name}"}))
    site.script("/v/hidden", Reply(302, headers={"Location": f"{site.other_url}/secret/page"}))
    crawl(site, network={"allow": ["127.0.0.0/8"]})
    there = [asked.path for asked in site.asked if asked.host.startswith("127.0.0.2")]

    assert dict.fromkeys(names) | {"hidden": "robots"} == crawl.look().pages
    assert "/robots.txt" == there[0]
    assert sorted(["/robots.txt", *[f"/v/{name}" for name in names]]) == sorted(there)


def test_a_redirect_to_a_host_without_robots_txt_costs_its_page_alone(crawl, site):
    """A host that does not answer is tried again, then given up; the crawl goes on."""
    site.videos = {"good": Video()}
    site.homes = [["good", "lost"]]
    site.script("/v/lost", Reply(302, headers={"Location": "http://127.0.0.1:9/v/lost"}))
    crawl(site, politeness={"max_attempts": 1})
    found = crawl.look()

    assert found.is_finished
    assert {"good": None, "lost": "robots_unreachable"} == found.pages

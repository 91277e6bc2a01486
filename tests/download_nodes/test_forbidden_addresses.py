"""A page chooses what we fetch: no spelling, name or detour leads to an address that the recipe does not allow."""

import asyncio
import socket

import pytest

from download_nodes.fetch import Fetcher, FetchError
from download_nodes.resolver import GuardedResolver, guarded_sockets
from microlens.network import NetworkPolicy
from tests.crawler.site import Reply
from tests.download_nodes.desk import recipe_of

ALLOWED = "127.0.0.1/32"
"""The site listens on 127.0.0.2 too, which is what all tests here try to reach."""


async def _why_not(_asked):
    return None


async def _await_turn(_asked):
    return None


def found(*addresses):
    """What a name server says."""

    def lookup(_host, port, **_more):
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    return lookup


@pytest.fixture
def get(tmp_path):
    """Fetch an address with a fetcher that may reach 127.0.0.1 alone: the size, or the reason."""

    def run(*urls, lookup=None):
        async def go():
            policy, told = NetworkPolicy([ALLOWED]), []
            fetcher = Fetcher(recipe_of("http://127.0.0.1"), policy, _why_not, _await_turn)
            if lookup:
                fetcher._session.connector._resolver = GuardedResolver(policy, lookup)
                fetcher._session.connector._use_dns_cache = False
            try:
                for url in urls:
                    try:
                        async with fetcher.download(url, tmp_path / "p", max_bytes=1000) as fetched:
                            told.append(fetched.size_bytes)
                    except FetchError as error:
                        told.append(error.refusal.reason)
            finally:
                await fetcher.close()
            return told

        return asyncio.run(go())

    return run


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "127.0.0.2.",
        "127.2",
        "127.0.2",
        "2130706434",
        "0x7f000002",
        "0x7f.0.0.2",
        "0177.0.0.2",
        "017700000002",
        "127.0.0.0x2",
        "0",
        "0.0.0.0",
        "000.000.000.000",
        "127\u30020\u30020\u30022",
        "127\uff0e0\uff0e0\uff0e2",
        "\uff11\uff12\uff17.0.0.2",
        "\u2460\u2461\u2466.0.0.2",
        "%31%32%37.0.0.2",
        "127%2e0%2e0%2e2",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::127.0.0.2]",
        "[64:ff9b::127.0.0.2]",
        "[2002:7f00:2::]",
        "[fe80::1%25lo]",
        "[fc00::1]",
        "user@127.0.0.2",
        "127.0.0.1@127.0.0.2",
        "127.0.0.1:80@127.0.0.2",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "localhost6",
        "ip6-localhost",
    ],
)
def test_no_spelling_of_an_address_gets_by(get, site, host):
    """However an address is written, nothing but what is allowed is connected to."""
    direct, redirected = f"http://{host}:{site.port}/secret", f"{site.url}/to"
    site.script("/to", _redirect(direct))
    site.files["/secret"] = b"secret"

    assert set(get(direct, redirected)) <= {"forbidden_address", "bad_address", "dns"}
    assert {"/to"} == {asked.path for asked in site.asked}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "ftp://127.0.0.1/a",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
        "data:text/plain,hello",
        "gopher://127.0.0.1:{port}/a",
        "ws://127.0.0.1:{port}/a",
        "javascript:alert(1)",
        "//127.0.0.2:{port}/secret",
        "http:///secret",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/a",
        "http://127.0.0.1:x/a",
        "",
    ],
)
def test_nothing_but_http_is_spoken(get, site, url):
    """Other schemes and broken addresses are refused, by themselves and as a redirect's target."""
    url = url.format(port=site.port)
    site.script("/to", _redirect(url))
    site.files["/secret"] = b"secret"
    direct, redirected = get(url, f"{site.url}/to")

    assert direct in {"forbidden_address", "bad_address"}
    # Some of these are a path of the site itself, once they are joined to its address.
    assert redirected in {"forbidden_address", "bad_address", "gone", "too_many_redirects"} or redirected == len(
        b"secret"
    )
    assert not site.count("127.0.0.2")


def _redirect(target):
    return Reply(302, headers={"Location": target})


def test_a_name_that_leads_inside_is_refused(get, site):
    """The address is what counts, not the name."""
    assert ["forbidden_address"] == get(f"http://cdn.example.org:{site.port}/a", lookup=found("127.0.0.2", "::1"))
    assert [] == site.asked


def test_of_several_addresses_only_the_permitted_are_tried(get, site):
    """A name with an address outside and one inside is connected to outside alone, whichever answers first."""
    site.files["/a"] = b"fine"
    inside = ["127.0.0.2", "::1", "::ffff:127.0.0.2", "127.0.0.3"]

    assert [4] == get(f"http://cdn.example.org:{site.port}/a", lookup=found(*inside[:2], "127.0.0.1", *inside[2:]))
    assert {"cdn.example.org"} == {asked.host.partition(":")[0] for asked in site.asked}


def test_a_name_that_changes_its_mind_gains_nothing(get, site):
    """A name server's second answer is checked like its first: what is checked is what is connected to."""
    site.files["/a"] = b"fine"
    answers = iter(["127.0.0.1", "127.0.0.2"])
    url = f"http://cdn.example.org:{site.port}/a"
    site.script("/a", _redirect(f"http://other.example.org:{site.port}/a"))

    assert ["forbidden_address"] == get(url, lookup=lambda *place, **_more: found(next(answers))(*place))
    assert 1 == len(site.asked)


def test_a_socket_is_not_even_made():
    """The last gate: whatever came by a resolver or by none, a connection to such an address has no socket."""
    make = guarded_sockets(NetworkPolicy([ALLOWED]))

    with pytest.raises(OSError, match="does not allow"):
        make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 80)))
    make((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))).close()


def test_no_proxy_is_taken_from_the_environment(get, site, monkeypatch):
    """A proxy would connect for us, and no check would see where to."""
    site.files["/a"] = b"fine"
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.3:{site.port}")

    assert [4] == get(f"{site.url}/a")
    assert ["/a"] == [asked.path for asked in site.asked]

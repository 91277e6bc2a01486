"""One file over HTTP: what is taken, what is refused, and that nothing is left behind."""

import asyncio
import gzip
import hashlib
import socket
from dataclasses import replace

import pytest

from download_nodes import fetch, transfer
from download_nodes.fetch import MAX_REDIRECTS, Fetcher, FetchError
from microlens.network import NetworkPolicy
from tests.crawler.site import Reply
from tests.download_nodes.desk import QUICK, recipe_of

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def paid():
    """What was paid for at its host while it was fetched."""
    return []


@pytest.fixture
def get(tmp_path, paid):
    """Fetch a URL with a fetcher of its own: the file, or the reason and that nothing is on disk."""

    def run(url, *, allow=LOOPBACK, max_bytes=1_000_000, forbidden="", method="file", **polite):
        path, before = tmp_path / "file", set(tmp_path.iterdir())

        async def why_not(asked):
            return "robots" if forbidden and forbidden in asked else None

        async def await_turn(asked):
            paid.append(asked)

        async def go():
            fetcher = Fetcher(recipe_of(url, politeness=QUICK | polite), NetworkPolicy(allow), why_not, await_turn)
            try:
                if method == "file":
                    async with fetcher.download(url, tmp_path / "a.part", max_bytes=max_bytes) as fetched:
                        return replace(fetched, path=fetched.take().rename(path))
                return await getattr(fetcher, method)(url)
            finally:
                await fetcher.close()

        try:
            return asyncio.run(go())
        except FetchError as error:
            assert before == set(tmp_path.iterdir())
            return error

    return run


def test_a_file_is_kept_with_its_hash(get, site):
    """Path, SHA-256 and size are those of the bytes that were served."""
    site.files["/a"] = body = bytes(range(256)) * 3000

    fetched = get(f"{site.url}/a")

    assert body == fetched.path.read_bytes()
    assert (hashlib.sha256(body).hexdigest(), len(body)) == (fetched.sha256, fetched.size_bytes)
    assert "tests@example.org" in site.asked[0].agent


@pytest.mark.parametrize("chunked", [False, True])
def test_the_limit_is_the_last_size_that_is_taken(get, site, chunked):
    """Declared or found out on the way, one byte more is too large, for good."""
    site.script("/a", Reply(body=b"x" * 5000, chunked=chunked), Reply(body=b"x" * 5001, chunked=chunked))
    taken, refused = get(f"{site.url}/a", max_bytes=5000), get(f"{site.url}/a", max_bytes=5000)

    assert 5000 == taken.size_bytes
    assert ("too_large", True) == (refused.refusal.reason, refused.refusal.is_final)


@pytest.mark.parametrize("method", ["file", "page", "robots"])
def test_a_compressed_bomb_does_not_grow(get, site, method, monkeypatch):
    """The limit counts what comes out of the decompressor."""
    monkeypatch.setattr(fetch, "MAX_PAGE_BYTES", 100_000)
    bomb = gzip.compress(bytes(50_000_000))
    site.script("/a", Reply(body=bomb, headers={"Content-Encoding": "gzip"}))

    assert len(bomb) < 100_000
    assert "too_large" == get(f"{site.url}/a", max_bytes=100_000, method=method).refusal.reason


def test_only_an_address_is_a_bad_address(get, site, monkeypatch):
    """A ValueError from elsewhere is a bug, which the next version may not have: no item is given up for it."""

    def broken(*_arguments):
        raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(transfer, "has_end", broken)
    site.files["/a"] = b"x"

    with pytest.raises(ValueError, match="closed file"):
        get(f"{site.url}/a")
    for number, address in enumerate(("http://[::1", "http://h:99999/", "http://h:x/")):
        site.script(f"/{number}", Reply(302, headers={"Location": address}))
        assert "bad_address" == get(f"{site.url}/{number}").refusal.reason


def test_a_body_that_ends_early_is_tried_again(get, site):
    """Half a file is `truncated`, and not final."""
    site.script("/a", Reply(body=b"x" * 10_000, short=True))
    error = get(f"{site.url}/a")

    assert ("truncated", False) == (error.refusal.reason, error.refusal.is_final)


def test_a_connection_that_breaks_is_tried_again(get, site):
    """No answer at all is `connection_lost`, and not final."""
    site.script("/a", *[Reply(cut=True)] * 9)
    error = get(f"{site.url}/a")

    assert ("connection_lost", False) == (error.refusal.reason, error.refusal.is_final)


def test_a_body_that_stands_still_is_given_up(get, site):
    """A transfer that brings nothing for the idle time is a timeout, whatever its deadline."""
    site.script("/a", Reply(body=b"x" * 10_000, pause_s=20))
    error = get(f"{site.url}/a", idle_s=0.3)

    assert ("timeout", False) == (error.refusal.reason, error.refusal.is_final)


@pytest.mark.parametrize(
    ("status", "reason", "is_final"),
    [
        (404, "gone", True),
        (410, "gone", True),
        (451, "gone", True),
        (401, "private", True),
        (403, "private", True),
        (400, "bad_status", True),
        (408, "timeout", False),
        (429, "rate_limited", False),
        (500, "server_error", False),
        (503, "server_error", False),
    ],
)
def test_a_refusal_has_its_reason(get, site, status, reason, is_final):
    """The status says why, and whether another try can help."""
    site.script("/a", Reply(status, b"no", {"Retry-After": "7"}))
    error = get(f"{site.url}/a")

    assert (reason, is_final, status) == (error.refusal.reason, error.refusal.is_final, error.status)
    assert 7.0 == error.retry_after_s


def test_nobody_listens(get):
    """A refused connection may be tried again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a"

    assert "connection_refused" == get(url).refusal.reason


def test_redirects_are_followed(get, site):
    """As many as MAX_REDIRECTS, relative ones included."""
    for step in range(MAX_REDIRECTS):
        site.script(f"/{step}", Reply(302, headers={"Location": f"{step + 1}"}))
    site.files[f"/{MAX_REDIRECTS}"] = b"there"

    assert 5 == get(f"{site.url}/0").size_bytes


@pytest.mark.parametrize("method", ["file", "page", "robots"])
def test_a_redirect_loop_ends(get, site, method):
    """One more than MAX_REDIRECTS is given up."""
    site.script("/a", *[Reply(301, headers={"Location": "/a"})] * 50)

    assert "too_many_redirects" == get(f"{site.url}/a", method=method).refusal.reason
    assert MAX_REDIRECTS + 1 == site.count()["/a"]


@pytest.mark.parametrize("method", ["file", "page", "robots"])
@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]:{port}/secret",
        "http://[::ffff:127.0.0.2]:{port}/secret",
        "http://127.0.0.2:{port}/secret",
        "http://2130706434:{port}/secret",
        "http://0x7f000002:{port}/secret",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//127.0.0.2:{port}/secret",
    ],
)
def test_a_redirect_out_of_the_allowed_networks_is_refused(get, site, method, target):
    """Whatever spelling an address has, only what the recipe allows is connected to."""
    site.script("/a", Reply(302, headers={"Location": target.format(port=site.port)}))
    error = get(f"{site.url}/a", allow=["127.0.0.1/32"], method=method)

    assert ("forbidden_address", True) == (error.refusal.reason, error.refusal.is_final)
    assert {"/a": 1} == dict(site.count())
    assert {} == dict(site.count("127.0.0.2"))


@pytest.mark.parametrize("method", ["file", "page", "robots"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001"])
def test_without_a_list_nothing_of_ours_is_reached(get, site, host, method):
    """A number and a name that lead to this machine are both refused, and nothing is asked."""
    error = get(f"http://{host}:{site.port}/a", allow=(), method=method)

    assert ("forbidden_address", True) == (error.refusal.reason, error.refusal.is_final)
    assert [] == site.asked


def test_robots_is_asked_for_every_target(get, site):
    """A redirect to what robots.txt forbids is not followed."""
    site.script("/a", Reply(302, headers={"Location": "/private/b"}))
    error = get(f"{site.url}/a", forbidden="/private/")

    assert "robots" == error.refusal.reason
    assert {"/a": 1} == dict(site.count())


def test_a_robots_txt_of_any_status_is_an_answer(get, site):
    """Its status decides later what it means."""
    site.script("/robots.txt", Reply(404, b"none"), Reply(503, b"later"))

    assert (404, b"none") == get(f"{site.url}/robots.txt", method="robots")
    assert (503, b"later") == get(f"{site.url}/robots.txt", method="robots")


@pytest.mark.parametrize("method", ["file", "page"])
def test_what_asks_not_to_be_learned_from_is_left(get, site, method):
    """An X-Robots-Tag that forbids is final, and its word is the reason."""
    site.script("/a", Reply(body=b"x" * 10, headers={"X-Robots-Tag": "noimageai"}))

    refused = get(f"{site.url}/a", method=method)

    assert "robots_noimageai" == refused.refusal.reason
    assert refused.refusal.is_final

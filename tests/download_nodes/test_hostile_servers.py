"""Servers that hang, trickle, lie or break at every stage of an answer: each transfer ends, and says why."""

import asyncio
import gzip
import resource
import socket
import ssl
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import brotli
import pytest

from download_nodes import resolver, transfer
from download_nodes.fetch import Fetcher, FetchError
from download_nodes.resolver import GuardedResolver
from microlens.network import NetworkPolicy
from microlens.outcomes import POLICIES
from tests.certificates import self_signed
from tests.download_nodes.desk import QUICK, recipe_of
from tests.download_nodes.wire import File, Wire, send

HURRIED = {"timeout_s": 0.6, "idle_s": 0.3, "file_timeout_s": 1.2}


async def _why_not(_asked):
    return None


async def _await_turn(_asked):
    return None


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def get(tmp_path):
    """Try once to fetch a file: its facts, or the error; whatever happens it ends, the session's end included."""

    def run(url, *, max_bytes=10_000_000, lookup=None, method="file", folder=tmp_path, **polite):
        async def go():
            fetcher = Fetcher(
                recipe_of(url, politeness=QUICK | polite), NetworkPolicy(["127.0.0.0/8"]), _why_not, _await_turn
            )
            if lookup:
                fetcher._session.connector._resolver = GuardedResolver(NetworkPolicy(["127.0.0.0/8"]), lookup)
            try:
                if method == "page":
                    return await fetcher.page(url)
                async with fetcher.download(url, folder / "p", max_bytes=max_bytes) as fetched:
                    return fetched
            finally:
                await fetcher.close()

        async def within():
            async with asyncio.timeout(20):
                return await go()

        try:
            return asyncio.run(within())
        except FetchError as error:
            return error

    return run


# --- hanging ---


async def silent(_asked, _writer):
    await asyncio.sleep(60)


async def headers_by_the_byte(_asked, writer):
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000:
        await send(writer, bytes([byte]))
        await asyncio.sleep(0.05)


async def headers_without_end(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\n")
    while True:
        await send(writer, b"X-A: b\r\n" * 1000)
        await asyncio.sleep(0.01)


async def body_that_stalls(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000)
    await asyncio.sleep(60)


async def chunks_without_end(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await send(writer, b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await asyncio.sleep(0.02)


async def flood(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await send(writer, b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n")


async def last_byte_is_missing(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 999)
    await asyncio.sleep(60)


async def chunk_without_end_mark(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await asyncio.sleep(60)


async def end_mark_is_missing(_asked, writer):
    await send(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    writer.transport.close()


async def no_http(_asked, writer):
    await send(writer, b"220 smtp.example ready\r\n" * 3)


async def slow_redirects(asked, writer):
    await asyncio.sleep(0.25)
    await send(writer, f"HTTP/1.1 302 Found\r\nLocation: {asked.path}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (silent, "timeout"),
        (headers_by_the_byte, "timeout"),
        (headers_without_end, "connection_lost"),
        (body_that_stalls, "timeout"),
        (chunks_without_end, "timeout"),
        (flood, "too_large"),
        (last_byte_is_missing, "timeout"),
        (chunk_without_end_mark, "timeout"),
        (end_mark_is_missing, "truncated"),
        (no_http, "connection_lost"),
        (slow_redirects, "timeout"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_every_transfer_ends(wire, get, tmp_path, answer, reason):
    """Wherever a server hangs, the transfer ends by its limits with its reason, and nothing is left of it."""
    wire.answers["/a"] = answer
    error = get(f"{wire.url}/a", **HURRIED)

    assert reason == error.refusal.reason
    assert (reason == "too_large") == error.refusal.is_final
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("answer", [silent, headers_by_the_byte, body_that_stalls, chunks_without_end, slow_redirects])
def test_every_page_ends(wire, get, answer):
    """The same holds for pages."""
    wire.answers["/a"] = answer

    assert get(f"{wire.url}/a", method="page", **HURRIED).refusal.reason in {"timeout", "too_many_redirects"}


def test_a_server_that_takes_part_in_no_handshake(wire, get):
    """A port that accepts and says nothing where TLS was expected is a timeout."""
    assert "timeout" == get(wire.url.replace("http:", "https:") + "/a", **HURRIED).refusal.reason


def test_a_transfer_that_starts_fast_and_trickles_is_too_slow(wire, get, monkeypatch):
    """The least speed is asked for all along, not on average since the start."""
    monkeypatch.setattr(transfer, "WINDOW_S", 1.0)
    monkeypatch.setattr(transfer, "_MARK_EVERY_S", 0.1)

    async def trickle(_asked, writer):
        await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 900_000)
        while True:
            await send(writer, b"x" * 10)
            await asyncio.sleep(0.05)

    wire.answers["/a"] = trickle
    error = get(f"{wire.url}/a", min_bytes_per_s=1000)

    assert ("too_slow", False) == (error.refusal.reason, error.refusal.is_final)


def test_a_transfer_that_is_slow_and_steady_is_not_too_slow(wire, get, monkeypatch):
    """At the least speed a file takes as long as it takes."""
    monkeypatch.setattr(transfer, "WINDOW_S", 0.3)
    monkeypatch.setattr(transfer, "_MARK_EVERY_S", 0.05)

    async def steady(_asked, writer):
        await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(20):
            await send(writer, b"x" * 1000)
            await asyncio.sleep(0.05)

    wire.answers["/a"] = steady

    assert 20_000 == get(f"{wire.url}/a", min_bytes_per_s=1000).size_bytes


# --- names ---


def test_a_name_server_that_hangs(get, monkeypatch):
    """A lookup without an answer is `dns`, and neither it nor its thread keeps the process."""
    monkeypatch.setattr(resolver, "LOOKUP_S", 0.2)

    def hang(*_arguments, **_more):
        time.sleep(3)

    assert "dns" == get("http://example.org/a", lookup=hang).refusal.reason


@pytest.mark.parametrize("name", ["does-not-exist.invalid", "a..b", "x" * 64 + ".org"])
def test_a_name_without_an_address(get, name):
    """What cannot be looked up, or not even be spelled, is no crash."""
    assert get(f"http://{name}/a").refusal.reason in {"dns", "bad_address"}


@pytest.mark.parametrize(
    ("error", "asked_again"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_FAIL, "no answer"), True),
        (OSError("no network"), True),
    ],
)
def test_only_a_name_that_is_none_is_remembered(error, asked_again):
    """Many who ask at once share one failure; a retry, a moment later, asks anew unless there is no such name."""
    asked = []

    def lookup(host, *_arguments, **_more):
        asked.append(host)
        raise error

    async def go():
        guarded = GuardedResolver(NetworkPolicy([]), lookup)

        async def ask(ago_s):
            guarded._failed = {name: (until - ago_s, known) for name, (until, known) in guarded._failed.items()}
            with pytest.raises(OSError, match=error.strerror or str(error)):
                await guarded.resolve("gone.test", 80)
            return len(asked)

        return [await ask(ago_s) for ago_s in (0, 0, POLICIES["dns"].first_s / 2, resolver.NO_NAME_S)]

    assert ([1, 1, 2, 3] if asked_again else [1, 1, 1, 2]) == asyncio.run(go())


# --- TLS ---


@contextmanager
def tls_wire(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder / "server.pem"))
    with Wire(context) as running:
        yield running


def test_a_certificate_of_its_own_making_is_refused(tmp_path_factory, get):
    """A site that cannot prove who it is gets no request."""
    with tls_wire(tmp_path_factory.mktemp("tls")) as wire:
        error = get(f"{wire.url}/a")

    assert ("tls", False) == (error.refusal.reason, error.refusal.is_final)
    assert [] == wire.asked


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_tls_connection_that_is_never_shut_down(tmp_path_factory, is_whole):
    """A server that does not answer the end of TLS, or ends without it, keeps nobody."""

    async def answer(_asked, writer):
        await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await asyncio.sleep(60)

    async def abort(_asked, writer):
        await send(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
        writer.transport.abort()

    folder = tmp_path_factory.mktemp("tls")
    with tls_wire(folder) as wire:
        wire.answers["/a"] = answer if is_whole else abort
        # In a process of its own, whose whole store of trusted certificates is that one, and which must end as well.
        run = subprocess.run(
            [sys.executable, "-m", "tests.download_nodes.fetch_alone", "download", f"{wire.url}/a", str(folder)],
            env={"SSL_CERT_FILE": str(folder / "server.pem")},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert ("5" if is_whole else "truncated") == run.stdout.split()[0]


# --- bombs ---


def _bomb(encoding, mebibytes):
    """So many mebibytes of zeros, small."""
    if encoding == "br":
        compressor = brotli.Compressor(quality=5)
        add, end = compressor.process, compressor.finish
    else:
        window = {"gzip": 31, "deflate": 15}[encoding]
        compressor = zlib.compressobj(9, zlib.DEFLATED, window)
        add, end = compressor.compress, compressor.flush
    return b"".join([*(add(bytes(1 << 20)) for _ in range(mebibytes)), end()])


def _compressed(body, encoding):
    async def answer(_asked, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        await send(writer, head.encode() + body)

    return answer


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_bomb_does_not_go_off(wire, tmp_path, encoding):
    """300 MiB in a few kilobytes are given up long before: the process stays as small as with a small file."""
    wire.answers |= {"/bomb": _compressed(_bomb(encoding, 300), encoding), "/small": File(b"x" * 1000)}
    found, peaks = {}, {}
    for path in ("/small", "/bomb"):
        run = subprocess.run(
            [sys.executable, "-m", "tests.download_nodes.fetch_alone", "download", wire.url + path, str(tmp_path)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found[path], peaks[path] = run.stdout.split()

    assert {"/small": "1000", "/bomb": "too_large"} == found
    assert int(peaks["/bomb"]) - int(peaks["/small"]) < 20_000 * (1024 if sys.platform == "darwin" else 1)
    assert ["done"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("method", ["file", "page"])
def test_what_is_compressed_as_much_as_text_is_taken(wire, get, method):
    """A server that compresses although it was asked not to is read all the same."""
    body = b"".join(b"%d," % number for number in range(400_000))
    wire.answers["/a"] = _compressed(gzip.compress(body), "gzip")

    found = get(f"{wire.url}/a", method=method)

    assert len(body) == (len(found) if method == "page" else found.size_bytes)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_body_that_is_cut_is_truncated(wire, get, encoding):
    """The length is that of what is sent, not of what comes out of it."""
    body = gzip.compress(bytes(range(256)) * 4000)

    async def answer(_asked, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        await send(writer, head.encode() + body[: len(body) // 2])
        writer.transport.close()

    wire.answers["/a"] = answer

    assert "truncated" == get(f"{wire.url}/a").refusal.reason


# --- the disk ---


@pytest.fixture
def small_disk(tmp_path_factory):
    """Two megabytes and no more."""
    folder = tmp_path_factory.mktemp("disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False)
    if made.returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_has_its_own_reason(wire, get, small_disk):
    """What does not fit is `disk_full`, its place is free again, and what fits comes as before."""
    wire.answers |= {"/large": File(b"x" * 5_000_000), "/small": File(b"x" * 1_900_000)}
    error = get(f"{wire.url}/large", folder=small_disk)

    assert ("disk_full", False) == (error.refusal.reason, error.refusal.is_final)
    assert [] == list(small_disk.iterdir())
    assert 1_900_000 == get(f"{wire.url}/small", folder=small_disk).size_bytes


def test_a_disk_that_fails_has_its_own_reason(wire, get, tmp_path):
    """A file that the system does not let grow is this machine's trouble too."""
    wire.answers["/a"] = File(b"x" * 3_000_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    try:
        error = get(f"{wire.url}/a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert "local_io" == error.refusal.reason
    assert [] == list(tmp_path.iterdir())

"""No part of a file is taken for the whole, however a server says where it ends, or does not say it."""

import asyncio
import gzip
import random
import socket
import struct
from functools import partial

import pytest

from download_nodes.fetch import FetchError
from download_nodes.partial import OVERLAP_BYTES
from tests.download_nodes.test_transfer import fetcher_of
from tests.download_nodes.wire import File, Wire, send

BODY = random.Random(7).randbytes(3_000_000)
HALF = 1_500_000


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


@pytest.fixture
def paid():
    return []


@pytest.fixture
def get(wire, paid, tmp_path):
    """Try once to fetch /a, as a file or as a playlist: its bytes, or the reason."""

    def run(method="download", path="/a"):
        async def go():
            async with fetcher_of(wire.url, paid) as fetcher:
                fetch = getattr(fetcher, method)
                async with fetch(wire.url + path, tmp_path / "a.part", max_bytes=10**7) as fetched:
                    return fetched.path.read_bytes()

        try:
            return asyncio.run(go())
        except FetchError as error:
            return f"final {error.refusal.reason}" if error.refusal.is_final else error.refusal.reason

    return run


def ranges(wire):
    return [asked.headers.get("range") for asked in wire.asked]


def _head(*lines, status="200 OK"):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def _chunks(body, *, ends=True):
    return b"%x\r\n%b\r\n" % (len(body), body) + (b"0\r\n\r\n" if ends else b"")


async def _broken_chunks(_asked, writer):
    """A first answer that nobody knows the length of, which breaks."""
    await send(writer, _head('ETag: "one"', "Transfer-Encoding: chunked") + _chunks(BODY[:HALF], ends=False))
    writer.transport.close()


def _capped(most, *, told=True, cut=0):
    """Ranges of so many bytes, whatever is asked for; their total is told, or not."""

    async def answer(asked, writer):
        wanted = asked.headers.get("range")
        if wanted is None:
            await send(writer, _head('ETag: "one"', "Transfer-Encoding: chunked") + _chunks(BODY))
            return
        start = int(wanted[6:-1])
        end = min(start + most, len(BODY))
        lines = 'ETag: "one"', f"Content-Range: bytes {start}-{end - 1}/{len(BODY) if told else '*'}"
        head = _head(*lines, "Transfer-Encoding: chunked", status="206 Partial Content")
        await send(writer, head + _chunks(BODY[start : end - cut]))

    return answer


def test_a_rest_in_parts_is_asked_for_part_by_part(wire, get, paid):
    """A server that gives so much at a time is asked on, each time paid for, until the end that it told."""
    wire.answers["/a"] = _broken_chunks
    assert "truncated" == get()
    wire.answers["/a"] = _capped(600_000)

    start = HALF - OVERLAP_BYTES
    assert BODY == get()
    assert [f"bytes={start + 600_000 * number}-" for number in range(3)] == ranges(wire)[1:]
    assert 2 == len(paid)


def test_a_rest_in_crumbs_is_a_break(wire, get, tmp_path):
    """Where little comes at a time the try ends, and the next one goes on from there."""
    wire.answers["/a"] = _broken_chunks
    get()
    wire.answers["/a"] = _capped(100_000)

    assert ["truncated"] * 2 == [get(), get()]
    assert HALF + 2 * (100_000 - OVERLAP_BYTES) == (tmp_path / "a.part").stat().st_size


@pytest.mark.parametrize("cut", [1, 1000])
def test_a_rest_is_as_long_as_its_range(wire, get, cut):
    """A body that ends before the last byte that its Content-Range names is `truncated`, and goes on."""
    wire.answers["/a"] = _broken_chunks
    get()
    wire.answers["/a"] = _capped(10**7, cut=cut)
    assert "truncated" == get()
    wire.answers["/a"] = _capped(10**7)

    assert BODY == get()


def test_a_rest_of_nobody_knows_how_much_begins_anew(wire, get, paid):
    """If neither answer told the length, no end can be known: the whole is asked for again."""
    wire.answers["/a"] = _broken_chunks
    get()
    wire.answers["/a"] = _capped(600_000, told=False)

    assert BODY == get()
    assert [None, f"bytes={HALF - OVERLAP_BYTES}-", None] == ranges(wire)
    assert 1 == len(paid)


@pytest.mark.parametrize("told", ["0-999/*", "0-999/3000000", "5-999/1000", "0-999/500", "999-0/1000", "none"])
@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Content-Length: 1000"])
@pytest.mark.parametrize("method", ["download", "playlist"])
def test_a_part_that_nobody_asked_for_is_no_file(wire, get, told, length, method):
    """A 206 to a request without a range is taken only if it says that it is all."""

    async def answer(_asked, writer):
        body = _chunks(BODY[:1000]) if "chunked" in length else BODY[:1000]
        await send(writer, _head(f"Content-Range: bytes {told}", length, status="206 Partial Content") + body)

    wire.answers |= {"/a": answer, "/a.m3u8": File(b"#EXTM3U\na\n#EXT-X-ENDLIST\n")}

    assert "truncated" == get(method, "/a" if method == "download" else "/a.m3u8")


def test_a_part_that_is_all_is_a_file(wire, get):
    """Some servers answer 206 to everything."""

    async def answer(_asked, writer):
        lines = "Content-Range: bytes 0-999/1000", "Transfer-Encoding: chunked"
        await send(writer, _head(*lines, status="206 Partial Content") + _chunks(BODY[:1000]))

    wire.answers["/a"] = answer

    assert BODY[:1000] == get()


def _ending(*cuts, reset=False, lines=("Connection: close",), body=BODY):
    """Answers that end with their connection, each after so many bytes; with a reset, perhaps."""
    left = list(cuts)

    async def answer(_asked, writer):
        await send(writer, _head(*lines) + body[: left.pop(0)])
        if reset:
            await asyncio.sleep(0.2)  # a reset takes away what the other end has not read
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        else:
            writer.transport.close()

    return answer


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("method", ["download", "playlist"])
def test_a_file_that_ends_with_its_connection_is_fetched_twice(wire, get, paid, method, reset):
    """Nothing tells such an end from a break: what comes twice alike is the file, and nothing of it is kept else."""
    wire.answers |= {"/a.m3u8": File(b"#EXTM3U\na\n#EXT-X-ENDLIST\n")}
    fetch = partial(get, method, "/a" if method == "download" else "/a.m3u8")
    tries = 3 if method == "playlist" else 1
    wire.answers["/a"] = _ending(*[HALF, len(BODY)] * tries, reset=reset)
    assert "truncated" == fetch()
    wire.answers["/a"] = _ending(len(BODY), len(BODY))
    paid.clear()
    wire.asked.clear()

    assert BODY == fetch()
    assert 2 == len([asked for asked in wire.asked if asked.path == "/a"])
    assert [f"{wire.url}/a"] * (1 if method == "download" else 2) == paid


def test_a_compressed_stream_that_was_cut_before_it_was_sent(wire, get):
    """Its length fits, and decompressors take it as it is: so it, too, must come twice alike."""
    packed = gzip.compress(BODY[:100_000])

    def sent(size):
        return _ending(size, lines=("Content-Encoding: gzip", f"Content-Length: {size}"), body=packed)

    answers = [sent(50_000), sent(len(packed)), sent(len(packed)), sent(len(packed))]

    async def answer(asked, writer):
        await answers.pop(0)(asked, writer)

    wire.answers["/a"] = answer

    assert "truncated" == get()
    assert BODY[:100_000] == get()


@pytest.mark.parametrize("encoding", ["identity", "utf-8", "aws-chunked", ""])
def test_an_encoding_that_changes_nothing_costs_nothing(wire, get, encoding):
    """Some stores send along what they were told when a file was stored: its bytes are fetched once."""

    async def answer(_asked, writer):
        await send(writer, _head(f"Content-Encoding: {encoding}", f"Content-Length: {len(BODY)}") + BODY)

    wire.answers["/a"] = answer

    assert BODY == get()
    assert 1 == len(wire.asked)


@pytest.mark.parametrize("method", ["download", "playlist"])
def test_chunks_without_an_end_are_a_break(wire, get, method):
    """The last chunk, which is empty, says that it was all."""

    async def answer(_asked, writer):
        await send(writer, _head("Transfer-Encoding: chunked") + _chunks(BODY[:5000], ends=False))
        writer.transport.close()

    wire.answers |= {"/a": answer, "/a.m3u8": File(b"#EXTM3U\na\n#EXT-X-ENDLIST\n")}

    assert "truncated" == get(method, "/a" if method == "download" else "/a.m3u8")

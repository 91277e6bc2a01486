"""Headers with raw bytes in them: followed where browsers follow them, and nothing that no ledger can hold gets in."""

import asyncio
import random

import pytest

from download_nodes.fetch import Fetched, FetchError
from microlens.platforms.base import Question
from tests.download_nodes.desk import QUICK, Desk
from tests.download_nodes.test_transfer import fetcher_of
from tests.download_nodes.wire import Wire, send

RAW = {
    "ETag": b'"\xff\xfe"',
    "Last-Modified": b"\xff",
    "Content-Type": b"image/\xff",
    "Content-Encoding": b"\xff",
    "Content-Range": b"bytes \xff",
    "Retry-After": b"\xff",
    "X-Robots-Tag": b"\xff: noindex",
    "Transfer-Encoding": b"\xff",
    "Content-Length": b"\xff",
    "\xff": b"1",
}


@pytest.fixture
def wire():
    with Wire() as running:
        yield running


def _answer(status=b"200 OK", body=b"x" * 1000, **headers):
    lines = [name.encode("latin-1") + b": " + value for name, value in headers.items()]
    if b"Content-Length" not in b"".join(lines):
        lines.append(b"Content-Length: %d" % len(body))

    async def answer(_asked, writer):
        await send(writer, b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", body]))
        writer.transport.close()

    return answer


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (b"/caf\xe9.jpg", "/caf%E9.jpg"),
        ("/café.jpg".encode(), "/caf%C3%A9.jpg"),
        (b"/a?b=\xe9&c=%ff", "/a?b=%E9&c=%FF"),
        (b"/a%20b\xff\xfe", "/a%20b%FF%FE"),
    ],
    ids=["latin-1", "utf-8", "query", "mixed"],
)
def test_a_redirect_with_raw_bytes_is_followed(wire, tmp_path, location, path):
    """Each raw byte is percent-encoded as it stands: ordinary Latin-1 names a file."""
    wire.answers |= {"/a": _answer(b"302 Found", b"", Location=location), path: _answer()}

    async def fetch():
        async with (
            fetcher_of(wire.url) as fetcher,
            fetcher.download(f"{wire.url}/a", tmp_path / "p", max_bytes=10**6) as fetched,
        ):
            return fetched

    fetched = asyncio.run(fetch())

    assert isinstance(fetched, Fetched)
    assert ["/a", path] == [asked.path for asked in wire.asked]
    assert (wire.url + path).lower() == fetched.url.lower()


@pytest.mark.parametrize("location", [b"/\xff.jpg", b"//\xff:99999/", b"http://[\xff/", b"\xff"])
def test_no_redirect_stops_a_node(redis_url, wire, tmp_path, location):
    """Wherever it leads, it costs its one item, and the ledger holds why."""
    wire.answers["/media/v.jpg"] = _answer(b"302 Found", b"", Location=location)
    desk = Desk(tmp_path, wire, redis_url)
    desk.make(politeness=QUICK | {"max_attempts": 1})
    desk.add_page("v", media={"cover": "/media/v.jpg"})
    desk.add_page("w", media={"cover": "/media/w.jpg"})
    desk.drain()
    reasons, left = desk.reasons(), desk.frontier.open_count(["media"])
    desk.close()

    assert {"v/cover", "w/cover"} == set(reasons)
    assert 0 == left


@pytest.mark.parametrize("status", [b"200 OK", b"200 \xff", b"404 \xff\xfe", b"503 \xff"])
@pytest.mark.parametrize("name", RAW)
def test_what_is_told_of_an_answer_is_text(wire, tmp_path, status, name):
    """Raw bytes in any header that is read, of a file or of an error: whatever is written down can be written."""
    wire.answers["/a"] = _answer(status, **{name: RAW[name]})

    async def fetch():
        async with fetcher_of(wire.url) as fetcher:
            try:
                async with fetcher.download(f"{wire.url}/a", tmp_path / "p", max_bytes=10**6) as fetched:
                    return [fetched.url, fetched.etag or ""]
            except FetchError as error:
                return [error.url, error.refusal.reason, str(error.__cause__)]

    told = asyncio.run(fetch())

    assert told == [text.encode("utf-8", errors="replace").decode() for text in told]


def test_an_adapter_is_shown_headers_that_are_text(wire):
    """A byte that is none is told by a replacement character."""
    wire.answers["/q"] = _answer(b"200 OK", random.Random(1).randbytes(10), **{"X-Page": b"a\xffb"})

    async def ask():
        async def turn(_url):
            return None

        async with fetcher_of(wire.url) as fetcher:
            answer, _ = await fetcher.exchange(Question(f"{wire.url}/q"), turn)
            return dict(answer.headers)

    assert "a�b" == asyncio.run(ask())["X-Page"]

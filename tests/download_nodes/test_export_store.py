"""A node's export as the integrating machine reads it: verified, resumed where it broke off, or told why not."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest
from aiohttp import web

from download_nodes import export as export_room
from microlens import export_store, pace
from microlens.errors import CorruptDataError, RecipeError, StoreUnreachableError
from microlens.export_store import ExportStore
from microlens.export_tokens import make_token
from microlens.local_store import LocalStore
from microlens.store import sha256_of
from tests.certificates import self_signed
from tests.download_nodes.exporting import KEY, LARGE, NOW, Node, dripping, serving


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Other tries come at once."""
    monkeypatch.setattr(export_store, "_FIRST_WAIT_S", 0.001)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    made = Node(tmp_path_factory.mktemp("node"))
    yield made
    made.run.ledger.close()


@pytest.fixture
def opened(tmp_path):
    """Opens stores, and closes them."""
    stores = []

    def start(url, token, **options):
        stores.append(ExportStore(url, token, LocalStore(tmp_path / "cache"), **options))
        return stores[-1]

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def store(node, opened):
    with serving(node.export.app()) as url:
        yield opened(url, node.token)


LARGE_SHA = Node.sha256_of(LARGE)


def test_a_store_is_told_from_afar(node, store, monkeypatch):
    """What is there, how large, and in what order: as the node's own store tells it."""
    monkeypatch.setattr(export_room, "PAGE", 2)
    sizes = {sha256: len(data) for sha256, data in node.objects.items()}
    many = [*sizes, *(f"{number:064x}" for number in range(1001))]
    ours = sorted(sizes)[1:]
    between = [*ours, *(f"{int(ours[0], 16) + number:064x}" for number in range(1, 1001))]

    assert store.has(LARGE_SHA)
    assert not store.has("0" * 64)
    assert sizes == store.sizes(many[:5]) == store.sizes(many)
    assert {sha256: sizes[sha256] for sha256 in ours} == store.sizes(between)
    assert sorted(sizes.items()) == list(store.objects())
    assert sorted(sizes.items())[1:] == list(store.objects(after=min(sizes)))


def test_every_object_comes_whole(node, store, tmp_path):
    """A link gives the node's bytes under a second name, an empty object's too, and is made again without the node."""
    for sha256, data in node.objects.items():
        store.verify(sha256)
        store.link(sha256, tmp_path / "release" / sha256)

        assert data == (tmp_path / "release" / sha256).read_bytes()
    store._token = "none"
    store.link(LARGE_SHA, tmp_path / "again")

    assert (tmp_path / "again").samefile(tmp_path / "release" / LARGE_SHA)
    assert [] == list((tmp_path / "cache" / "tmp").iterdir())


def test_a_fetch_that_was_cut_goes_on(store, tmp_path):
    """What a killed process has fetched is not asked for again; what it left broken is fetched anew."""
    for left in (LARGE[: 1 << 20], b"broken", LARGE + b"more", LARGE):
        store._local.partial(LARGE_SHA).write_bytes(left)
        store.link(LARGE_SHA, tmp_path / "1.mp4")

        assert LARGE_SHA == sha256_of(tmp_path / "1.mp4")
        store._local.path(LARGE_SHA).unlink()


class Unreliable:
    """A server that breaks off after so many bytes, ignores ranges if told to, and counts what it is asked for."""

    def __init__(self, body, *, cut_after, ranges=True, cuts=99):
        self.body, self.cut_after, self.ranges, self.cuts, self.asked = body, cut_after, ranges, cuts, []

    def app(self):
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self.answer)
        return app

    async def answer(self, request):
        asked = request.headers.get("Range") if self.ranges else None
        self.asked.append(asked)
        start = int(asked[6:-1]) if asked else 0
        body = self.body[start:]
        response = web.StreamResponse(status=206 if asked else 200, headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        if len(self.asked) > self.cuts:
            await response.write(body)
            return response
        await response.write(body[: self.cut_after])
        if len(body) > self.cut_after:
            request.transport.abort()
        return response


def test_an_answer_that_breaks_off_goes_on_from_there(opened, tmp_path):
    """Each cut answer is asked for again from the byte that it had come to."""
    server = Unreliable(LARGE, cut_after=1 << 20)
    with serving(server.app()) as url:
        opened(url, "token").link(LARGE_SHA, tmp_path / "1.mp4")

    assert LARGE_SHA == sha256_of(tmp_path / "1.mp4")
    assert None is server.asked[0]
    assert 2 <= len(server.asked) <= 20
    assert all(asked for asked in server.asked[1:])


def test_a_server_without_ranges_is_read_over(opened, tmp_path):
    """Where ranges are ignored the bytes that are here already are read over, not kept twice."""
    server = Unreliable(LARGE, cut_after=1 << 20, ranges=False, cuts=2)
    with serving(server.app()) as url:
        opened(url, "token").link(LARGE_SHA, tmp_path / "1.mp4")

    assert LARGE_SHA == sha256_of(tmp_path / "1.mp4")


def test_a_server_that_gives_nothing_is_given_up(opened, tmp_path):
    """A server that breaks off before the first byte, time and again, is told; nothing stands under the name."""
    with serving(Unreliable(LARGE, cut_after=0).app()) as url, pytest.raises(StoreUnreachableError, match="no answer"):
        opened(url, "token").link(LARGE_SHA, tmp_path / "1.mp4")

    assert not (tmp_path / "1.mp4").exists()


@pytest.mark.parametrize("begin", ["", "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"])
def test_a_server_that_drips_is_given_up(opened, tmp_path, monkeypatch, begin):
    """A byte now and then, of the answer's head or of its body, runs into no time-out, and is too little anyway."""
    monkeypatch.setattr(pace, "PATIENCE_S", 0.3)
    with dripping(begin) as url, pytest.raises(StoreUnreachableError, match=r"gave \d+ bytes in"):
        opened(url, "token").link(LARGE_SHA, tmp_path / "1.mp4")

    assert not (tmp_path / "1.mp4").exists()


def test_more_bytes_than_there_should_be_are_not_read(opened):
    """What an answer's head already says to be too long is refused with its name and its size."""
    server = Unreliable(LARGE, cut_after=len(LARGE))
    with serving(server.app()) as url:
        store = opened(url, "token")

        with pytest.raises(CorruptDataError, match=rf"{LARGE_SHA} has {len(LARGE)} bytes, more than the 10"):
            list(store.read(LARGE_SHA, at_most=10))
        assert LARGE == b"".join(store.read(LARGE_SHA, at_most=len(LARGE)))


def test_wrong_bytes_are_never_linked(opened, tmp_path):
    """A node that gives other bytes than the name says is found out."""
    with serving(Unreliable(b"wrong", cut_after=99).app()) as url:
        store = opened(url, "token")
        with pytest.raises(CorruptDataError, match="other bytes"):
            store.link(LARGE_SHA, tmp_path / "1.mp4")
        with pytest.raises(CorruptDataError, match=LARGE_SHA):
            store.verify(LARGE_SHA)

    assert [] == [*store._local.objects(), *(tmp_path / "cache" / "tmp").iterdir()]


def manifest(*objects):
    return json.dumps({"objects": objects, "next": None})


@pytest.mark.parametrize(
    "page",
    [
        "no json",
        "[]",
        '{"objects": []}',
        manifest(["../../x", 1]),
        manifest(["1" * 64, 1], ["0" * 64, 1]),
        manifest(["0" * 64, 1], ["0" * 64, 1]),
        manifest([1]),
        manifest(["0" * 64, "x"]),
    ],
)
def test_a_manifest_that_makes_no_sense_is_told(opened, page):
    """Names that are no hashes, that come in no order, and what is no manifest at all, are refused."""

    async def answer(_request):
        return web.Response(text=page)

    app = web.Application()
    app.router.add_get("/manifest", answer)
    with serving(app) as url, pytest.raises(CorruptDataError, match="manifest cannot be read"):
        list(opened(url, "token").objects())


@pytest.mark.parametrize(
    "page",
    [
        '{"parts": []}',
        '{"parts": [{"part_id": "../../x", "size_bytes": 1}], "next": null}',
        '{"parts": [], "next": "x"}',
        '{"parts": [], "next": 5}',
        json.dumps({"parts": [{"part_id": "1" * 32, "size_bytes": 1}], "next": "0" * 32}),
    ],
)
def test_a_listing_of_parts_that_makes_no_sense_is_told(opened, page):
    """Names that are no ids, and a next page that would never end, are refused."""

    async def answer(_request):
        return web.Response(text=page)

    app = web.Application()
    app.router.add_get("/parts", answer)
    with serving(app) as url, pytest.raises(CorruptDataError, match="parts cannot be read"):
        list(opened(url, "token").parts())


@pytest.mark.parametrize("status", [301, 302, 307, 403, 405])
def test_other_answers_are_told_and_no_redirect_is_followed(opened, status):
    """The token is sent to nobody else, and an answer of no use is named."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    with serving(app) as url, pytest.raises(StoreUnreachableError, match=str(status)):
        opened(url, "token").has(LARGE_SHA)

    assert [f"/objects/{LARGE_SHA}"] == asked


def test_a_refused_token_is_told(node, opened):
    """An expired token ends in exit code 5, and says how to get another."""
    with serving(node.export.app()) as url:
        store = opened(url, make_token(KEY, node.run.shared_name, NOW))

        with pytest.raises(StoreUnreachableError, match="--make-token"):
            store.has(LARGE_SHA)


def test_a_node_that_is_away_is_told(opened):
    """Nobody listens: exit code 5 after a few tries."""
    with pytest.raises(StoreUnreachableError, match="gives no answer"):
        opened("http://127.0.0.1:9", "token").has(LARGE_SHA)


@pytest.mark.parametrize(
    "url", ["", "node", "ftp://node", "http://", "http://u:p@node:1", "http://node/x", "http://node:x", "file:///x"]
)
def test_what_is_no_address_is_refused(opened, url):
    """An export's address is a scheme, a host and a port, and nothing more."""
    with pytest.raises(RecipeError, match="no address of an export"):
        opened(url, "token")


def test_a_token_is_not_sent_to_a_public_address_in_the_clear(opened, monkeypatch):
    """Plain http to a public address ends before anything is sent."""
    sent = []

    class Public(socket.socket):
        def getpeername(self):
            return ("8.8.8.8", 80)

        def sendall(self, data, *flags):
            sent.append(data)

    def connect(*_args, **_options):
        return Public(socket.AF_INET)

    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(RecipeError, match=r"public address 8\.8\.8\.8"):
        opened("http://dns.example", "token").has(LARGE_SHA)
    assert [] == sent


def test_tls_proves_who_the_node_is(node, opened, tmp_path):
    """With the node's certificate at hand its export is read by https; without it nothing is."""
    pem = self_signed(tmp_path / "node.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(node.export.app(), context) as url:
        with pytest.raises(StoreUnreachableError, match="cannot prove who it is"):
            opened(url, node.token).has(LARGE_SHA)
        known = opened(url, node.token, ca_file=pem)
        known.link(LARGE_SHA, tmp_path / "1.mp4")
        known.close()  # a server that ends waits for its clients to say goodbye

    assert LARGE_SHA == sha256_of(tmp_path / "1.mp4")


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_is_none_is_told(opened, tmp_path, text):
    """A file that is not there, or holds no certificate, is named; it is no bug."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecipeError, match=r"ca\.pem cannot be read as certificates"):
        opened("https://127.0.0.1:1", "token", ca_file=path)


# --- the command ---


def test_the_command_serves_until_it_is_stopped(tmp_path, opened):
    """A token from --make-token reads what the command serves; SIGTERM lets a transfer end, and stops it."""
    node = Node(tmp_path)
    node.run.ledger.close()
    environment = {**os.environ, "MICROLENS_RUNS_DIR": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "microlens.cli", "export", "node"]
    made = subprocess.run([*command, "--make-token"], env=environment, capture_output=True, text=True, check=True)
    with subprocess.Popen([*command, "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True) as process:
        url = process.stderr.readline().split()[-1]
        store = opened(url, made.stdout.strip())
        reading = store.read(LARGE_SHA)
        first = next(reading)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        body = first + b"".join(reading)
        store.close()
        code = process.wait(timeout=40)

    assert LARGE == body
    assert 0 == code
    assert 0o600 == (node.run.folder / "private" / "export.key").stat().st_mode & 0o777

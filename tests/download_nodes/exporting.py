"""A run with a few objects and a part, and its export on this machine."""

import asyncio
import contextlib
import hashlib
import random
import socketserver
import threading
from contextlib import contextmanager

import pyarrow as pa
from aiohttp import web

from download_nodes.export import Export
from microlens.export_tokens import make_token
from microlens.parts import write_part
from microlens.runs import open_or_create
from microlens.settings import Settings
from microlens.tables import CRAWLED_COMMENTS
from tests.download_nodes.desk import recipe_of

KEY = b"k" * 32
NOW = 1_800_000_000
LARGE = random.Random(1).randbytes(3 << 20)


@contextmanager
def serving(app, tls=None):
    """An aiohttp application in a thread of its own; gives its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start():
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return runner

    async def end():
        await runner.cleanup()
        await loop.shutdown_default_executor()
        await asyncio.sleep(0.01)  # the connections' last callbacks

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def dripping(begin=""):
    """A server that answers with `begin` and then a byte now and then, for ever; gives its address."""
    ended = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1 << 16)
            with contextlib.suppress(OSError):
                self.request.sendall(begin.encode())
                while not ended.wait(0.02):
                    self.request.sendall(b"H")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()
            thread.join()


class Node:
    """A run with a few objects and a part, and its export."""

    def __init__(self, folder):
        settings = Settings(runs_dir=folder / "runs")
        self.run, _ = open_or_create(recipe_of("http://127.0.0.1:9", "node"), settings)
        self.objects = {self.put(data): data for data in (b"one", b"", LARGE)}
        self.part = write_part(self.run.folder, "comments", pa.Table.from_pylist([], schema=CRAWLED_COMMENTS))
        self.run.ledger.commit_comments(self.part, {"v": 0})
        self.export = Export(self.run, KEY, clock=lambda: NOW)
        self.token = make_token(KEY, self.run.shared_name, NOW + 60)

    @staticmethod
    def sha256_of(data):
        return hashlib.sha256(data).hexdigest()

    def put(self, data):
        sha256, temporary = self.sha256_of(data), self.run.store.temporary()
        temporary.write_bytes(data)
        self.run.store.put(temporary, sha256)
        return sha256

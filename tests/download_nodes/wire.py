"""A server that speaks HTTP byte by byte, as well or as badly as a test says; with TLS if asked to."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from email.utils import formatdate

LONG_AGO = formatdate(1_700_000_000, usegmt=True)


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict


@dataclass
class File:
    """A file that knows ranges; `cut_after` ends the connection there, once or as often as there are numbers."""

    body: bytes
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    cut_after: list = field(default_factory=list)
    refuse_ranges: int = 0
    """A status that any range is answered with."""
    shift: int = 0
    """By how much a range is told wrong: its bytes are those of elsewhere."""
    told_shift: int = 0
    """By how much the Content-Range lies."""

    async def __call__(self, asked, writer):
        start, status, first = 0, "200 OK", ""
        wanted = asked.headers.get("range")
        if wanted and self.refuse_ranges:
            await send(writer, f"HTTP/1.1 {self.refuse_ranges} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        validator = self.etag or self.modified
        end = len(self.body)
        if wanted and self.ranges and asked.headers.get("if-range", validator) == validator:
            asked_start, _, asked_end = wanted.removeprefix("bytes=").partition("-")
            if asked_start:
                start, end = int(asked_start), int(asked_end) + 1 if asked_end else end
            else:
                start = max(0, end - int(asked_end))
            status = "206 Partial Content"
            first = f"Content-Range: bytes {start + self.told_shift}-{end - 1}/{len(self.body)}\r\n"
        headers = f"HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\n{first}"
        headers += f"Date: {formatdate(usegmt=True)}\r\n"
        headers += f"ETag: {self.etag}\r\n" if self.etag else ""
        headers += f"Last-Modified: {self.modified}\r\n" if self.modified else ""
        await send(writer, headers.encode() + b"\r\n")
        shown = self.body[start:] if status.startswith("200") or not self.shift else self.body[start - self.shift :]
        shown = shown[: end - start]
        if self.cut_after:
            await send(writer, shown[: self.cut_after.pop(0)])
            writer.transport.close()
            return
        await send(writer, shown)


async def send(writer, data):
    writer.write(data)
    await writer.drain()


class Wire:
    """`answers` are coroutine functions of (request, writer) by path; what is not there is a 404."""

    def __init__(self, tls=None):
        self.answers = {}
        self.asked = []
        self._tls = tls

    def __enter__(self):
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(30)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)

    async def _serve(self, ready):
        self._loop, self._stopped, self._open = asyncio.get_running_loop(), asyncio.Event(), set()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        ready.set()
        await self._stopped.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _handle(self, reader, writer):
        self._open.add(asyncio.current_task())
        try:
            while head := await _head(reader):
                request, *lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines if line)
                asked = Asked(request.split()[1], {name.lower(): value for name, value in headers.items()})
                self.asked.append(asked)
                await self.answers.get(asked.path, _nothing)(asked, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(asyncio.current_task())
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()


async def _head(reader):
    with contextlib.suppress(asyncio.IncompleteReadError):
        return await reader.readuntil(b"\r\n\r\n")


async def _nothing(_asked, writer):
    await send(writer, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

"""A very small site in the sandbox's page format that answers as badly as a test asks it to.

It runs in a thread on 127.0.0.1, and with the same port on 127.0.0.2 and .3: other hosts, or forbidden addresses.
"""

import asyncio
import json
import threading
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from html import escape

from aiohttp import web

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@dataclass
class Reply:
    """One answer: `cut` breaks the connection before it, `short` before its end, `pause_s` in the midst of it."""

    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    cut: bool = False
    short: bool = False
    pause_s: float = 0.0
    chunked: bool = False
    """Leave out the length."""


@dataclass
class Asked:
    """One request as the server saw it."""

    host: str
    path: str
    agent: str
    at: float


@dataclass
class Video:
    likes: object = 50_000
    related: tuple = ()
    title: str = "A fine title"
    media: dict = field(default_factory=dict)
    is_changed: bool = False


class Site:
    """`homes` are lists of video ids by refresh (the last one stays), `videos` what each page tells."""

    def __init__(self):
        self.videos = {}
        self.homes = [[]]
        self.home_is_changed_at = None
        self.robots = ""
        self.files = {}
        self.comments = {}
        self.page_size = 2
        self.counts_comments = True
        self.asked = []
        self.gather = None
        self.stalls = lambda _asked: False
        """Says of a request, the present one the last in `asked`, whether it is accepted and never answered."""
        self._scripts = defaultdict(deque)
        self._waiting = 0
        self._gate = None

    # --- what a test says ---

    def script(self, path, *replies):
        """Give these answers to the next requests of a path (its query included), then the usual one."""
        self._scripts[path].extend(replies)

    def refuse_together(self, count, reply):
        """Hold the next `count` video pages until all of them are asked for, then refuse them all."""
        self.gather = (count, reply)

    def count(self, host=HOSTS[0]):
        """How often each path was asked for."""
        return Counter(asked.path for asked in self.asked if asked.host.startswith(host))

    def times_of(self, host):
        """When a host was asked for anything."""
        return [asked.at for asked in self.asked if asked.host.startswith(host)]

    def times(self, prefix):
        return [asked.at for asked in self.asked if asked.path.startswith(prefix)]

    def address(self, number):
        """The address of one of the hosts."""
        return f"http://{HOSTS[number]}:{self.port}"

    # --- running ---

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
        self._loop, self._stopped, self._gate = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOSTS[0], 0).start()
        port = runner.addresses[0][1]
        for host in HOSTS[1:]:
            await web.TCPSite(runner, host, port).start()
        self.port, self.url, self.other_url = port, f"http://{HOSTS[0]}:{port}", f"http://{HOSTS[1]}:{port}"
        ready.set()
        await self._stopped.wait()
        await runner.cleanup()

    # --- answering ---

    async def _handle(self, request):
        path = request.raw_path
        self.asked.append(Asked(request.host, path, request.headers.get("User-Agent", ""), time.monotonic()))
        if self.stalls(self.asked[-1]):
            await self._stopped.wait()
        reply = self._scripts[path].popleft() if self._scripts[path] else None
        if reply is None and self.gather and path.startswith("/v/"):
            reply = await self._refused_together()
        if reply is None:
            reply = self._usual(request)
        return await self._send(request, reply)

    async def _refused_together(self):
        count, reply = self.gather
        self._waiting += 1
        if self._waiting == count:
            self.gather = None
            self._gate.set()
        await asyncio.wait_for(self._gate.wait(), 20)
        return reply

    async def _send(self, request, reply):
        if reply.cut:
            request.transport.abort()
            return web.Response()
        if not reply.short and not reply.pause_s and not reply.chunked:
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if reply.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
        if reply.pause_s:
            await asyncio.sleep(reply.pause_s)
        if reply.short:
            request.transport.close()
        else:
            await response.write(reply.body[len(reply.body) // 2 :])
        return response

    def _usual(self, request):
        path = request.path
        if path == "/robots.txt":
            return Reply(body=self.robots.encode())
        if path == "/":
            return self._home(int(request.query.get("refresh", 0)))
        if path.startswith("/v/"):
            return self._page(path.removeprefix("/v/"))
        if path.startswith("/api/videos/"):
            return self._comments(path.split("/")[3], int(request.query.get("cursor", 0)))
        if path in self.files:
            return Reply(body=self.files[path])
        return Reply(404)

    def _home(self, refresh):
        if refresh == self.home_is_changed_at:
            return Reply(body=b"<html>We have a new look!</html>")
        links = self.homes[min(refresh, len(self.homes) - 1)]
        return _html("".join(f'<a class="video" href="{_address(link)}">x</a>' for link in links))

    def _page(self, video_id):
        video = self.videos.get(video_id)
        if video is None:
            return Reply(404)
        if video.is_changed:
            return _html("<h1>Our new player</h1>")
        told = {
            "@type": "VideoObject",
            "identifier": video_id,
            "url": f"{self.url}/v/{video_id}",
            "name": video.title,
            "author": {"identifier": f"author-of-{video_id}"},
            "interactionStatistic": [{"interactionType": "LikeAction", "userInteractionCount": video.likes}],
        }
        names = {"cover": "thumbnailUrl", "video": "contentUrl"}
        told |= {names[kind]: url for kind, url in video.media.items() if kind in names}
        related = "".join(f'<a class="related" href="{escape(_address(link))}">x</a>' for link in video.related)
        return _html(f'<script type="application/ld+json">{json.dumps(told)}</script>{related}')

    def _comments(self, video_id, start):
        rows = self.comments.get(video_id, [])
        end = start + self.page_size
        following = str(end) if end < len(rows) else None
        told = {"comments": rows[start:end], "next": following, "total": len(rows)}
        return Reply(body=json.dumps(told if self.counts_comments else {**told, "total": None}).encode())


def comment(number, user, text="nice", at_ms=None, gender=None):
    """A row of the comments API."""
    person = {"id": user, "name": user} | ({"gender": gender} if gender else {})
    return {"id": f"c{number}", "user": person, "text": text, "created_at_ms": at_ms or 1_700_000_000_000 + number}


def _address(link):
    return link if "/" in link else f"/v/{link}"


def _html(body):
    return Reply(body=f"<html><body>{body}</body></html>".encode(), headers={"Content-Type": "text/html"})

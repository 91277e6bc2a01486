"""The site over HTTP: pages, comments, media, and a log of what was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import time
from collections import Counter, OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, TextIO

import orjson
from aiohttp import web

from sandbox import flaws, pieces, ranges
from sandbox.faults import FaultConfig, Faults
from sandbox.links import Links
from sandbox.media import SUFFIXES, Kind, MediaFolder
from sandbox.pages import Pages
from sandbox.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from aiohttp.typedefs import Middleware

    from sandbox.faults import Fault
    from sandbox.world import World

NO_FAULTS = FaultConfig()
SERVER_NAME = "microlens-sandbox"
DEFAULT_LIMIT, HIGHEST_LIMIT = 20, 100
_KIND_OF_FILE: dict[str, Kind] = {f"{kind}.{suffix}": kind for kind, suffix in SUFFIXES.items()}
_CONTENT_TYPES: dict[Kind, str] = {"cover": "image/jpeg", "audio": "audio/mp4", "video": "video/mp4"}
_FILES_IN_MEMORY = 400


def make_app(
    world: World,
    *,
    frozen: bool,
    media_dir: Path,
    crawl_delay: float | None = None,
    log: TextIO | None = None,
    faults: FaultConfig = NO_FAULTS,
    links_expire_s: float | None = None,
) -> web.Application:
    """Build the site; `frozen` pages depend on their address alone, others change with every visit.

    With `links_expire_s` links to media end so many seconds after their page was asked for: they alone then depend on
    the time.
    """
    requests = RequestLog(log, Faults(faults))
    app = web.Application(middlewares=[requests.middleware()])
    app.on_response_prepare.append(_name_server)
    signer = None if links_expire_s is None else Signer(links_expire_s, seed=world.config.seed)
    site = Site(world, MediaFolder(world, media_dir), is_frozen=frozen, crawl_delay=crawl_delay, signer=signer)
    app.add_routes(
        [
            web.get("/", site.home),
            web.get("/robots.txt", site.robots),
            web.get("/v/{video_id}", site.video),
            web.get("/api/videos/{video_id}/comments", site.comments),
            web.get("/media/{video_id}/{file}", site.media),
            web.get("/pieces/{video_id}/{file}", site.piece),
            web.get("/admin/log", requests.show),
        ]
    )
    return app


class RequestLog:
    """Counts requests by path, the log's own aside, has some of them suffer, and writes a line for each to a file."""

    def __init__(self, lines: TextIO | None, faults: Faults) -> None:
        self._counts: Counter[str] = Counter()
        self._lines = lines
        self._faults = faults

    def middleware(self) -> Middleware:
        @web.middleware
        async def count(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            began, fault, status = time.time(), None, 0
            if not request.path.startswith("/admin/"):
                self._counts[request.path] += 1
                fault = self._faults.draw(_host(request), request.path_qs, began)
            try:
                if fault is None:
                    response = await handler(request)
                    status = response.status
                else:
                    response = await self._faults.suffer(fault, request, handler)
                    status = fault.status or 0
            except web.HTTPException as stop:
                status = stop.status
                raise
            except Exception:
                status = 500
                raise
            finally:
                self._write(request, status, began, fault)
            return response

        return count

    async def show(self, _request: web.Request) -> web.Response:
        return web.json_response({"requests": dict(self._counts)})

    def _write(self, request: web.Request, status: int, began: float, fault: Fault | None) -> None:
        """One line a request, when it is done with; status 0: there was no answer, or nobody waited for it."""
        if self._lines is not None:
            line = {
                "host": _host(request),
                "method": request.method,
                "target": request.path_qs,
                "status": status,
                "user_agent": request.headers.get("User-Agent", ""),
                "received_at_ms": round(began * 1000, 1),
                "took_ms": round((time.time() - began) * 1000, 1),
                "fault": fault and fault.kind,
                "link": request.get("link"),
                "retry_after": fault and fault.retry_after,
            }
            self._lines.write(orjson.dumps(line).decode() + "\n")
            self._lines.flush()


class Site:
    """One handler a kind of address."""

    def __init__(
        self,
        world: World,
        folder: MediaFolder,
        *,
        is_frozen: bool,
        crawl_delay: float | None,
        signer: Signer | None = None,
    ) -> None:
        self._world = world
        self._hosts = {address: number for number, address in enumerate(world.addresses)}
        # A frozen page depends on its address alone, so it has no clock.
        self._pages = Pages(world, now_ms=None if is_frozen else time.time_ns() // 1_000_000, signer=signer)
        self._signer = signer
        self._links = Links(world)
        self._files = _Files(folder)
        self._is_frozen = is_frozen
        self._crawl_delay = crawl_delay
        self._visits = itertools.count(1)

    async def robots(self, _request: web.Request) -> web.Response:
        delay = "" if self._crawl_delay is None else f"Crawl-delay: {self._crawl_delay:g}\n"
        return web.Response(text=f"User-agent: *\nDisallow: /admin/\n{delay}")

    async def home(self, request: web.Request) -> web.Response:
        refresh = _natural(request, "refresh", 0)
        host = self._host_number(request)
        links = self._links.home(refresh if self._is_frozen else next(self._visits), host)
        return _html(self._pages.home(links, _origin(request)))

    async def video(self, request: web.Request) -> web.Response:
        video = self._find(request)
        links = self._links.related(video, 0 if self._is_frozen else next(self._visits))
        response = _html(self._pages.video(video, links, _origin(request)))
        if self._world.videos.flaws.kind[video] == flaws.CLOSED:
            response.headers["X-Robots-Tag"] = "noai"
        return response

    async def comments(self, request: web.Request) -> web.Response:
        video = self._find(request)
        start = _natural(request, "cursor", 0)
        limit = _natural(request, "limit", DEFAULT_LIMIT)
        page = self._pages.comments(video, start, max(1, min(limit, HIGHEST_LIMIT)))
        return web.Response(body=orjson.dumps(page), content_type="application/json", charset="utf-8")

    async def media(self, request: web.Request) -> web.Response:
        video, file = self._find(request), request.match_info["file"]
        kind = "video" if file == pieces.MASTER else _KIND_OF_FILE.get(file)
        if kind is None or not self._world.has_media[video]:
            raise web.HTTPNotFound
        wrong = self._signer.wrong(request.path, request.query) if self._signer else None
        if wrong is not None:
            request["link"] = wrong
            raise web.HTTPForbidden(text=f"This link is {wrong}.")
        if kind == "video" and self._world.is_in_pieces[video] != (file == pieces.MASTER):
            raise web.HTTPNotFound
        if file == pieces.MASTER:
            return await self._master(video)
        body, etag = await self._files.read(video, kind)
        return ranges.answer(request.headers, body, etag, _CONTENT_TYPES[kind])

    async def _master(self, video: int) -> web.Response:
        cut, videos = await self._pieces(video), self._world.videos
        body = cut.master(f"/pieces/{videos.ids[video]}/{pieces.INDEX}", videos.duration_s(video))
        return web.Response(body=body, content_type=pieces.PLAYLIST_TYPE)

    async def piece(self, request: web.Request) -> web.Response:
        video, file = self._find(request), request.match_info["file"]
        body = (await self._pieces(video)).files(self._world.videos.duration_s(video)).get(file)
        if body is None:
            raise web.HTTPNotFound
        kind = pieces.PLAYLIST_TYPE if file == pieces.INDEX else "video/mp4"
        return ranges.answer(request.headers, body, _etag(body), kind)

    async def _pieces(self, video: int) -> pieces.Pieces:
        if not self._world.is_in_pieces[video] or not self._world.has_media[video]:
            raise web.HTTPNotFound
        return await self._files.read_pieces(video)

    def _host_number(self, request: web.Request) -> int:
        """Which of the site's hosts is asked: the first, unless there are several."""
        return self._hosts.get(_host(request), 0)

    def _find(self, request: web.Request) -> int:
        video = self._world.index.get(request.match_info["video_id"])
        if video is None or (len(self._hosts) > 1 and self._world.host[video] != self._host_number(request)):
            raise self._missing(HTTPStatus.NOT_FOUND)
        if self._world.videos.flaws.kind[video] == flaws.DELETED:
            # Real sites answer both ways; which way a video goes is fixed.
            is_forgotten = video % 2 == 1 or request.path.startswith("/api/")
            raise self._missing(HTTPStatus.NOT_FOUND if is_forgotten else HTTPStatus.GONE)
        if self._world.videos.flaws.kind[video] == flaws.PRIVATE:
            raise web.HTTPForbidden
        return video

    def _missing(self, status: HTTPStatus) -> web.HTTPException:
        answer = web.HTTPGone if status == HTTPStatus.GONE else web.HTTPNotFound
        return answer(text=self._pages.missing(status), content_type="text/html")


class _Files:
    """Media bytes with their ETags; the last few hundred stay in memory."""

    def __init__(self, folder: MediaFolder) -> None:
        self._folder = folder
        self._held: OrderedDict[tuple[int, Kind], tuple[bytes, str]] = OrderedDict()
        self._cut: OrderedDict[int, pieces.Pieces] = OrderedDict()
        self._making = asyncio.Semaphore(2)

    async def read_pieces(self, video: int) -> pieces.Pieces:
        if video not in self._cut:
            body, _ = await self.read(video, "video")
            self._cut[video] = await asyncio.to_thread(pieces.cut, body)
            while len(self._cut) > _FILES_IN_MEMORY:
                self._cut.popitem(last=False)
        return self._cut[video]

    async def read(self, video: int, kind: Kind) -> tuple[bytes, str]:
        key = (video, kind)
        if key not in self._held:
            async with self._making:
                body = await asyncio.to_thread(self._folder.read, video, kind)
            self._held[key] = body, _etag(body)
            while len(self._held) > _FILES_IN_MEMORY:
                self._held.popitem(last=False)
            return self._held[key]
        self._held.move_to_end(key)
        return self._held[key]


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _host(request: web.Request) -> str:
    return request.host.partition(":")[0]


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _natural(request: web.Request, name: str, default: int) -> int:
    """Read a query argument that is a whole number of 0 or more."""
    given = request.query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit()) or len(given) > len(str(2**31)):
        wrong = json.dumps({"error": f"{name} must be a whole number, got {given[:40]!r}"})
        raise web.HTTPBadRequest(text=wrong, content_type="application/json")
    return int(given)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME

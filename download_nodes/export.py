"""A node's own store over HTTP, read-only, for the machine that integrates; started by `microlens-build export`.

GET or HEAD, with a bearer token (microlens.export_tokens):

/objects/SHA256             the bytes; ranges, and their hash as a strong ETag
/manifest[?after=SHA256]    {"run", "objects": [[sha256, size in bytes], ...], "next": what to ask after, or null}
/parts[?after=PART_ID]      {"run", "parts": [{part_id, kind, rows, sha256, size_bytes}, ...], "next"}: those here
/parts/PART_ID              the Parquet file

A request's target must look exactly so: nothing of it is decoded, and no path is made of it but by hash or by the
ledger's word. Without a valid token every target is the same 401.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from itertools import islice
from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web
from multidict import CIMultiDict

from microlens.export_tokens import is_valid
from microlens.local_store import LocalStore
from microlens.logs import log

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from aiohttp.abc import AbstractStreamWriter

    from microlens.ledger_rows import Part
    from microlens.runs import Run

PAGE = 5_000
"""Objects in a page of the manifest, about 400 KB; or parts that the ledger lists, about 1 MB."""
_TELL_EVERY_S = 10.0
_PATIENCE_S = 30.0
"""What a stop gives transfers that are under way."""
_ETAG: web.RequestKey[str] = web.RequestKey("etag", str)


class Export:
    """Answers requests for what one run holds on this machine."""

    def __init__(self, run: Run, key: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._run, self._key, self._clock = run, key, clock
        # Links on the way to these folders are their owner's; inside them none is followed.
        self._folder = run.folder.resolve()
        # Where media are put into a bucket, they are read there; a run's parts lie in its folder in any case.
        root = run.store.root if isinstance(run.store, LocalStore) else run.folder / "store"
        self._store = LocalStore(root.resolve())
        self._refused, self._told_at = 0, 0.0
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Awaitable[web.StreamResponse]]], ...] = (
            (re.compile(r"/objects/([0-9a-f]{64})", re.ASCII), self._object),
            (re.compile(r"/manifest(?:\?after=([0-9a-f]{64}))?", re.ASCII), self._manifest),
            (re.compile(r"/parts(?:\?after=([0-9a-f]{32}))?", re.ASCII), self._parts),
            (re.compile(r"/parts/([0-9a-f]{32})", re.ASCII), self._part),
        )

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self._answer)
        app.on_response_prepare.append(_harden)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not self._is_allowed(request):
            self._tell_refusal(request)
            return web.Response(status=401, text="unauthorized\n", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"})
        for pattern, answer in self._routes:
            if found := pattern.fullmatch(request.raw_path):
                return await answer(request, *found.groups(""))
        return _nothing()

    def _is_allowed(self, request: web.Request) -> bool:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        valid = is_valid(token, self._key, self._run.shared_name, now_s=self._clock())
        return scheme.lower() == "bearer" and valid

    def _tell_refusal(self, request: web.Request) -> None:
        """One line now, then at most one every few seconds: whoever guesses is not to fill the disk."""
        self._refused += 1
        if time.monotonic() - self._told_at > _TELL_EVERY_S:
            log.warning("export_refused", requests=self._refused, last_from=request.remote)
            self._refused, self._told_at = 0, time.monotonic()

    async def _object(self, request: web.Request, sha256: str) -> web.StreamResponse:
        return _file(request, self._store.path(sha256), sha256)

    async def _manifest(self, _request: web.Request, after: str) -> web.StreamResponse:
        page = await asyncio.to_thread(lambda: list(islice(self._store.objects(after), PAGE)))
        last = page[-1][0] if len(page) == PAGE else None
        return _json({"run": self._run.run_id, "objects": page, "next": last})

    async def _parts(self, _request: web.Request, after: str) -> web.StreamResponse:
        told, last = await asyncio.to_thread(self._page_of_parts, after)
        return _json({"run": self._run.run_id, "parts": told, "next": last})

    async def _part(self, request: web.Request, part_id: str) -> web.StreamResponse:
        part = await asyncio.to_thread(self._run.ledger.part, part_id)
        path = self._path(part) if part is not None else None
        return _nothing() if part is None or path is None else _file(request, path, part.sha256)

    def _page_of_parts(self, after: str) -> tuple[list[dict[str, object]], str | None]:
        listed = self._run.ledger.parts_after(after, PAGE)
        told = [_told(part, path) for part in listed if (path := self._path(part)) is not None]
        return told, listed[-1].part_id if len(listed) == PAGE else None

    def _path(self, part: Part) -> Path | None:
        """Where a part lies, if it does, below crawled/ here: another machine may have written its row."""
        path = self._folder / part.path
        return path if part.path.startswith("crawled/") and _is_plain(path) else None


class _File(web.FileResponse):
    """A file whose ETag is its hash: the validators that aiohttp makes of times are left out."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        kept: CIMultiDict[str] = CIMultiDict()
        is_same = request.headers.get(hdrs.IF_RANGE) in {None, request[_ETAG]}
        if hdrs.RANGE in request.headers and is_same:
            kept[hdrs.RANGE] = request.headers[hdrs.RANGE]
        return await super().prepare(request.clone(headers=kept))


def _file(request: web.Request, path: Path, sha256: str) -> web.StreamResponse:
    if not _is_plain(path):
        return _nothing()
    request[_ETAG] = f'"{sha256}"'
    if any(etag.value in {sha256, "*"} for etag in request.if_none_match or ()):
        return web.Response(status=304)
    return _File(path, headers={hdrs.CONTENT_TYPE: "application/octet-stream"})


def _is_plain(path: Path) -> bool:
    """Whether a path is a file, with no link on the way to it."""
    return path.resolve() == path and path.is_file()


def _told(part: Part, path: Path) -> dict[str, object]:
    facts = {"part_id": part.part_id, "kind": part.kind, "rows": part.rows, "sha256": part.sha256}
    return {**facts, "size_bytes": path.stat().st_size}


def _json(answer: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def _nothing() -> web.Response:
    return web.Response(status=404, text="not found\n")


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    """Say nothing of ourselves, and have nobody take what is served for a page."""
    response.headers[hdrs.SERVER] = "microlens"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
    response.headers.popall(hdrs.LAST_MODIFIED, None)
    if (etag := request.get(_ETAG)) is not None and response.status < 400:  # noqa: PLR2004 - errors have no ETag
        response.headers[hdrs.ETAG] = etag


async def serve(
    export: Export,
    addresses: Sequence[str],
    port: int,
    tls: ssl.SSLContext | None,
    on_ready: Callable[[list[str]], None],
) -> None:
    """Serve at these addresses until SIGTERM or Ctrl-C, then let what is under way end; `on_ready` is told the URLs."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(export.app(), access_log=None, shutdown_timeout=_PATIENCE_S)
    await runner.setup()
    try:
        for address in addresses:
            await web.TCPSite(runner, address, port, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        on_ready([f"{scheme}://{_spelled(host)}:{bound}" for host, bound, *_ in runner.addresses])
        await stop.wait()
    finally:
        await runner.cleanup()


def _spelled(address: str) -> str:
    return f"[{address}]" if ":" in address else address

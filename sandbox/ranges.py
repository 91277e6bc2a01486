"""Answers with a file's bytes: whole, one range of them, or "you have it already"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class UnsatisfiableRangeError(Exception):
    """The range begins after the last byte; it is answered with 416 and never leaves this module."""


def answer(asked: Mapping[str, str], body: bytes, etag: str, content_type: str) -> web.Response:
    """Answer as RFC 9110 has it for one range; several ranges or unreadable ones get the whole file."""
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "public, max-age=3600"}
    if _matches(asked.get("If-None-Match", ""), etag):
        return web.Response(status=304, headers=headers)
    wanted = asked.get("Range", "")
    if asked.get("If-Range", etag) != etag:
        wanted = ""
    try:
        part = find_range(wanted, len(body))
    except UnsatisfiableRangeError:
        return web.Response(status=416, headers={**headers, "Content-Range": f"bytes */{len(body)}"})
    if part is None:
        return web.Response(body=body, headers=headers, content_type=content_type)
    start, end = part
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
    return web.Response(status=206, body=body[start:end], headers=headers, content_type=content_type)


def find_range(header: str, size: int) -> tuple[int, int] | None:
    """Give the half-open span that a Range header asks for, None for the whole."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or (not first and int(last) == 0):
        raise UnsatisfiableRangeError
    return start, end


def _matches(header: str, etag: str) -> bool:
    names = {name.strip().removeprefix("W/") for name in header.split(",")}
    return etag in names or "*" in names

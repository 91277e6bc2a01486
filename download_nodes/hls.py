"""A video that a site serves in pieces (HLS): playlist, rendition, then piece after piece into one file.

A process that is killed goes on at the piece where it stopped. Every address that a playlist names is checked, paid for
and bounded like any other: see `Fetcher`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from download_nodes.fetch_errors import FetchError
from download_nodes.partial import Origin
from download_nodes.playlists import Piece, Pieces, PlaylistError, parse_playlist
from download_nodes.ranges import has_end, is_compressed, is_end, is_whole, span_of
from download_nodes.transfer import PLAIN, Fetched, agree, gathering, may_go_on, pour
from microlens.outcomes import Refusal
from microlens.platforms.base import choose_rendition
from microlens.store import sha256_of, unique_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from aiohttp import ClientResponse

    from download_nodes.partial import Partial
    from download_nodes.playlists import Variant
    from download_nodes.transfer import Get, Headers, Terms
    from microlens.recipe import Media

MAX_PLAYLIST_BYTES = 4 << 20
PIECE_TRIES = 3
"""A video of a thousand pieces must not fail for one that broke."""

_JOINED_IN_S = 120
_GONE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


@dataclass(frozen=True, slots=True)
class Means:
    """What fetches for us: each checks the address and robots.txt of what it is asked for."""

    page: Callable[[str], Awaitable[bytes]]
    get: Get
    await_turn: Callable[[str], Awaitable[None]]


@asynccontextmanager
async def download_pieces(means: Means, url: str, stable: Path, media: Media, terms: Terms) -> AsyncIterator[Fetched]:
    """A whole video, for the length of the block: move it away there, what is left is removed.

    Sound that lies apart is joined to the picture without being encoded anew. The first request is paid for by whoever
    asks. Raises FetchError, also for what is `encrypted` or `live`.
    """
    picture, sound = await _choose(means, url, media)
    with gathering(stable) as partial:
        whole = await _fill(means, picture, partial, terms)
        if sound is None:
            yield replace(whole, url=url)
            return
        with gathering(stable.with_name(f"{stable.name}.sound")) as other:
            left_bytes = terms.max_bytes - whole.size_bytes
            heard = await _fill(means, sound, other, replace(terms, max_bytes=left_bytes, accept=None))
            with _temporary(partial) as joined:
                await _join(whole.path, heard.path, joined, max_bytes=terms.max_bytes)
                size = joined.stat().st_size
                sha256 = await asyncio.to_thread(sha256_of, joined)
                resumed = whole.resumed_bytes + heard.resumed_bytes
                yield Fetched(joined, sha256, size, lambda: _own(joined), url, resumed_bytes=resumed)


async def _choose(means: Means, url: str, media: Media) -> tuple[Pieces, Pieces | None]:
    """The pieces of the picture that the recipe asks for, and those of its sound if they lie apart."""
    found = await _read(means, url)
    if isinstance(found, Pieces):
        return found, None
    variant: Variant | None = choose_rendition(found, max_height=media.max_height, rendition=media.rendition)
    assert variant is not None, "a playlist without renditions does not parse"
    picture = await _pieces_at(means, variant.url)
    # A group may name the very playlist of the picture: the sound is in it.
    is_apart = variant.audio_url not in {None, variant.url}
    return picture, await _pieces_at(means, variant.audio_url) if is_apart and variant.audio_url else None


async def _pieces_at(means: Means, url: str) -> Pieces:
    await means.await_turn(url)
    found = await _read(means, url)
    if not isinstance(found, Pieces):
        raise _refused(PlaylistError("bad_playlist", f"{url} is a rendition that has renditions"))
    return found


async def _read(means: Means, url: str) -> tuple[Variant, ...] | Pieces:
    body = await means.page(url)
    if len(body) > MAX_PLAYLIST_BYTES:
        raise FetchError(Refusal("too_large", is_final=True), status=HTTPStatus.OK)
    try:
        return parse_playlist(body.decode("utf-8", errors="replace"), url)
    except PlaylistError as error:
        raise _refused(error) from error


def _refused(error: PlaylistError) -> FetchError:
    refused = FetchError(Refusal(error.reason, is_final=True), status=HTTPStatus.OK)
    refused.__cause__ = error
    return refused


async def _fill(means: Means, told: Pieces, partial: Partial, terms: Terms) -> Fetched:
    """Bring a file to its last piece, from the first one that it lacks."""
    done = await _take_up(means, told, partial, terms)
    had = partial.size_bytes
    for number, piece in enumerate(told.pieces[done:], start=done + 1):
        await _append(means, piece, partial, terms if number == 1 else replace(terms, accept=None))
        partial.set_origin(Origin(told.digest, pieces=number, pieces_bytes=partial.size_bytes))
        partial.keep()
    partial.done()
    return Fetched(partial.path, partial.digest.hexdigest(), partial.size_bytes, partial.take, resumed_bytes=had)


async def _take_up(means: Means, told: Pieces, partial: Partial, terms: Terms) -> int:
    """How many pieces are there already, of the same video; what came of a further one is cut off."""
    origin = partial.origin
    if origin is not None and origin.validator == told.digest and 0 < origin.pieces_bytes <= partial.size_bytes:
        await partial.go_back(origin.pieces_bytes)
        partial.cut()
        if await _ends_with(means, told.pieces[origin.pieces - 1], partial.tail(), terms):
            return origin.pieces
    partial.restart()
    partial.open()
    partial.set_origin(Origin(told.digest))
    return 0


class _End:
    """Takes a body, and keeps its last bytes."""

    def __init__(self, kept_bytes: int) -> None:
        self.size_bytes = 0
        self.bytes = b""
        self._kept_bytes = kept_bytes

    def write(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self.bytes = (self.bytes + chunk)[-self._kept_bytes :]


async def _ends_with(means: Means, piece: Piece, tail: bytes, terms: Terms) -> bool:
    """Whether a piece still ends as it did: its name, which has no validator, may mean another encoding by now."""
    end = _End(len(tail))
    await means.await_turn(piece.url)
    if piece.length is None:
        headers: Headers = (*PLAIN, ("Range", f"bytes=-{len(tail)}"))
    else:
        length = min(len(tail), piece.length)
        piece = Piece(piece.url, piece.start + piece.length - length, length)
        headers = _headers(piece)
    try:
        async with means.get(piece.url, headers) as response:
            if piece.length is not None:
                _check_span(response, piece)
            elif response.status == HTTPStatus.PARTIAL_CONTENT and not is_end(response):
                return False
            await pour(response, end, replace(terms, accept=None))
    except FetchError as error:
        if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return False
        raise
    return bool(end.bytes) and tail.endswith(end.bytes)


async def _append(means: Means, piece: Piece, partial: Partial, terms: Terms) -> None:
    mark = partial.mark()
    for left in reversed(range(PIECE_TRIES)):
        await means.await_turn(piece.url)
        try:
            async with means.get(piece.url, _headers(piece)) as response:
                _check_span(response, piece)
                await pour(response, partial, terms)
            if not has_end(response):
                await means.await_turn(piece.url)
                async with means.get(piece.url, _headers(piece)) as again:
                    await agree(again, partial, mark, terms)
        except FetchError as error:
            if partial.size_bytes and error.status in _GONE:
                # Links to pieces run out while a long video comes: read anew its playlist has fresh ones.
                raise FetchError(Refusal("truncated", is_final=False), status=error.status) from error
            if not left or error.refusal.is_backoff or not may_go_on(error):
                raise
            partial.rewind(mark)
        else:
            return


def _headers(piece: Piece) -> Headers:
    if piece.length is None:
        return PLAIN
    return (*PLAIN, ("Range", f"bytes={piece.start}-{piece.start + piece.length - 1}"))


def _check_span(response: ClientResponse, piece: Piece) -> None:
    if piece.length is None:
        if not is_whole(response):
            raise FetchError(Refusal("truncated", is_final=False), status=response.status)
        return
    span = span_of(response)
    if span is None or is_compressed(response) or (span.first, span.length) != (piece.start, piece.length):
        detail = f"{piece.url} gave other bytes than {piece.start} to {piece.start + piece.length - 1}"
        raise _refused(PlaylistError("bad_playlist", detail))


async def _join(picture: Path, sound: Path, target: Path, *, max_bytes: int) -> None:
    """Have a process of its own put two files together: what strangers wrote may crash the library that reads it."""
    words = (os.getpid(), max_bytes, picture, sound, target)
    command = (sys.executable, "-m", "download_nodes.mux", *map(str, words))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(_JOINED_IN_S):
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code == errno.ENOSPC:
        raise OSError(code, os.strerror(code), str(target))
    if code == errno.EFBIG:
        raise FetchError(Refusal("too_large", is_final=True), status=HTTPStatus.OK)
    if code:
        raise _refused(PlaylistError("not_media", f"picture and sound could not be joined (exit code {code})"))


def _own(path: Path) -> Path:
    return path.rename(path.with_name(unique_name()))


@contextmanager
def _temporary(beside: Partial) -> Iterator[Path]:
    path = beside.path.with_name(f"{beside.path.name}.joined")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)

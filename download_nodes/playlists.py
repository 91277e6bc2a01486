"""HLS playlists (RFC 8216) as text: which renditions there are, and which pieces make one up. Nothing is fetched here.

A playlist is written by a stranger: it may name any address (each is checked where it is fetched), be endless, or be
none.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from microlens.platforms.link_expiry import unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIECES = 20_000
"""Of one rendition: 33 hours in pieces of six seconds."""
JOINED_BYTES = 8 << 20
"""Neighbours in one file are asked for together, up to so much: each request is paid for."""

_ATTRIBUTE = re.compile(r'([A-Z0-9-]{1,64})=("[^"\r\n]*"|[^",\s][^,]*)?')
_DURATION = re.compile(r"^#EXTINF:\s*([0-9.]{1,32})", re.MULTILINE)
_RANGE = re.compile(r"(\d{1,18})(?:@(\d{1,18}))?")
_RESOLUTION = re.compile(r"\d{1,9}x(\d{1,9})")


class PlaylistError(Exception):
    """A playlist that cannot be fetched as a video; never leaves the node."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        """`encrypted`, `live`, `too_large`, `bad_playlist`, or `not_media` for what is no playlist."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition of a master playlist."""

    url: str
    height: int | None
    size_bytes: int | None
    """Its bandwidth, in bits a second: what its size is in proportion to."""
    audio_url: str | None
    """The playlist of its sound, where that is separate."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment, or what must stand before some of them (EXT-X-MAP)."""

    url: str
    start: int = 0
    length: int | None = None
    """Bytes from `start` on; None: the whole of what lies there."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A media playlist: written one after the other its pieces are one file."""

    pieces: tuple[Piece, ...]
    durations: tuple[str, ...] = ()
    """Of each segment, in seconds as it is written."""

    @property
    def digest(self) -> str:
        """The same for the same pieces, whatever is appended to their addresses for a while (signatures, hosts)."""
        told = [f"{unsigned(piece.url)} {piece.start} {piece.length}" for piece in self.pieces]
        return hashlib.sha256("\n".join([*told, *self.durations]).encode()).hexdigest()


def parse_playlist(text: str, url: str) -> tuple[Variant, ...] | Pieces:
    """Read a playlist that lies at `url`: renditions from a master playlist, pieces from a media playlist.

    PlaylistError for what is encrypted, still live, too long, or none at all.
    """
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    if not lines or lines[0] != "#EXTM3U":
        raise PlaylistError("not_media", f"{url} does not begin as a playlist does: {text[:40]!r}")
    lines = [line for line in lines[1:] if line]
    try:
        if any(line.startswith(("#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:")) for line in lines):
            return tuple(_variants(lines, url))
        pieces = tuple(_joined(_pieces(lines, url)))
        return Pieces(pieces, tuple(_DURATION.findall("\n".join(lines))))
    except ValueError as error:  # of `urljoin`: an address that is none
        raise PlaylistError("bad_playlist", f"{url}: {error}") from error


def _variants(lines: list[str], url: str) -> Iterator[Variant]:
    sounds: dict[str, str] = {}
    for told in _told(lines, "#EXT-X-MEDIA:"):
        if told.get("TYPE") == "AUDIO" and told.get("URI"):
            # The one that a player would choose by itself; else the first.
            group, place = told.get("GROUP-ID", ""), urljoin(url, told["URI"])
            sounds[group] = place if told.get("DEFAULT") == "YES" else sounds.get(group, place)
    if any(told.get("METHOD", "NONE") != "NONE" for told in _told(lines, "#EXT-X-SESSION-KEY:")):
        raise PlaylistError("encrypted", f"{url} is encrypted")
    found = 0
    for line, following in zip(lines, [*lines[1:], "#"], strict=True):
        if not line.startswith("#EXT-X-STREAM-INF:"):
            continue
        if following.startswith("#"):
            raise PlaylistError("bad_playlist", f"{url} has a rendition without an address")
        found += 1
        told = _attributes(line)
        resolution = _RESOLUTION.fullmatch(told.get("RESOLUTION", ""))
        height = int(resolution[1]) if resolution else None
        yield Variant(
            urljoin(url, following), height, _number(told.get("BANDWIDTH")), sounds.get(told.get("AUDIO", ""))
        )
    if not found:
        raise PlaylistError("bad_playlist", f"{url} has no rendition")


def _pieces(lines: list[str], url: str) -> Iterator[Piece]:
    _check_fetchable(lines, url)
    count, before, written = 0, None, None
    span = ""
    ends: dict[str, int] = {}
    for line in lines:
        if line.startswith("#EXT-X-MAP:"):
            told = _attributes(line)
            before = _piece(url, told.get("URI", ""), told.get("BYTERANGE", ""), {})
        elif line.startswith("#EXT-X-BYTERANGE:"):
            span = line.partition(":")[2]
        elif not line.startswith("#"):
            count += 1
            if count > MAX_PIECES:
                raise PlaylistError("too_large", f"{url} has more than {MAX_PIECES} pieces")
            if before is not None and before != written:
                written = before
                yield before
            yield _piece(url, line, span, ends)
            span = ""
    if not count:
        raise PlaylistError("bad_playlist", f"{url} has no piece")


def _check_fetchable(lines: list[str], url: str) -> None:
    if any(told.get("METHOD") != "NONE" for told in _told(lines, "#EXT-X-KEY:")):
        raise PlaylistError("encrypted", f"{url} is encrypted")
    if "#EXT-X-ENDLIST" not in lines:
        raise PlaylistError("live", f"{url} has no end yet")
    if "#EXT-X-GAP" in lines:
        raise PlaylistError("bad_playlist", f"{url} lacks a piece of its video")


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    held = next(pieces)
    for piece in pieces:
        is_next = held.length is not None and (piece.url, piece.start) == (held.url, held.start + held.length)
        if is_next and held.length and piece.length and held.length + piece.length <= JOINED_BYTES:
            held = Piece(held.url, held.start, held.length + piece.length)
        else:
            yield held
            held = piece
    yield held


def _piece(url: str, uri: str, span: str, ends: dict[str, int]) -> Piece:
    """One piece; a range without a start follows that of the piece before it."""
    place = urljoin(url, uri)
    if not span:
        if not uri:
            raise PlaylistError("bad_playlist", f"{url} has a piece without an address")
        return Piece(place)
    match = _RANGE.fullmatch(span)
    if match is None or not int(match[1]) or (match[2] is None and place not in ends):
        raise PlaylistError("bad_playlist", f"{url} has a byte range that says nothing: {span[:80]!r}")
    start = ends[place] if match[2] is None else int(match[2])
    ends[place] = start + int(match[1])
    return Piece(place, start, int(match[1]))


def _told(lines: list[str], tag: str) -> Iterator[dict[str, str]]:
    return (_attributes(line) for line in lines if line.startswith(tag))


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 18 else None  # noqa: PLR2004 - 64 bits

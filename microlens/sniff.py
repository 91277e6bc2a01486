"""The MIME type of a file, by its first bytes alone."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from microlens.errors import MicrolensError

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.records import AssetKind

HEAD_BYTES = 512
"""All that `sniff` needs."""
UNKNOWN = "application/octet-stream"
IMAGE_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
}
"""Pictures that are read, by Pillow's name for them; no other decoder of its is let loose on a file."""

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"#EXTM3U", "application/vnd.apple.mpegurl"),
)
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"heic": "image/heic",
}
_PLAUSIBLE: dict[AssetKind, tuple[str, ...]] = {
    "cover": ("image/", UNKNOWN),
    "video": ("video/", UNKNOWN),
    # A sound may lie in a video's container, and its head does not tell.
    "audio": ("audio/", "video/", UNKNOWN),
}
_TS_PACKET = 188
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")


class NotMediaError(MicrolensError):
    """A page or another kind of file came in place of the media: a log-in page, a refusal, a playlist."""

    def __init__(self, kind: AssetKind, video_id: str, mime: str) -> None:
        super().__init__(
            f"the {kind} of video {video_id!r} is not media of that kind: its bytes are {mime}",
            hint="open its address in a browser: the site may ask for a login, or its adapter took the wrong link",
        )
        self.mime = mime


def mime_of(path: Path) -> str:
    """Type of a file; `UNKNOWN` if its bytes say nothing."""
    with path.open("rb") as file:
        return sniff(file.read(HEAD_BYTES)) or UNKNOWN


def check_head(kind: AssetKind, video_id: str, head: bytes) -> None:
    """NotMediaError if a file that begins so cannot be an asset of this kind, whatever follows."""
    mime = sniff(head) or UNKNOWN
    if not may_be(kind, mime):
        raise NotMediaError(kind, video_id, mime)


def may_be(kind: AssetKind, mime: str) -> bool:
    """Whether bytes of this type may be an asset of this kind."""
    return mime.startswith(_PLAUSIBLE[kind])


def sniff(head: bytes) -> str | None:
    """Name the type; None if the bytes say nothing.

    An MP4 with sound only is `video/mp4` unless its brand says otherwise: the streams tell, not the head.
    """
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    return _container(head) or _frame_sync(head) or _text(head)


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:64] else "audio/ogg"
    if head[::_TS_PACKET] == b"GGG" and not _CONTROL.isdisjoint(head):
        return "video/mp2t"
    return None


def _frame_sync(head: bytes) -> str | None:
    """Tell MPEG layer III from AAC: both begin with eleven set bits, then come version and layer."""
    sync = int.from_bytes(head[:2], "big")
    if sync & 0xFFF6 == 0xFFF0:  # noqa: PLR2004 - ADTS: twelve set bits, layer 0
        return "audio/aac"
    return "audio/mpeg" if sync & 0xFFE6 == 0xFFE2 else None  # noqa: PLR2004 - eleven set bits, layer III


def _text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:32].lower().startswith(_HTML):
        return "text/html"
    if not text or not _CONTROL.isdisjoint(text):
        return None
    try:
        # Not `bytes.decode`: the head may end inside a character.
        codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        return None
    return "text/plain"

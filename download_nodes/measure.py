"""From a finished download to its AssetRecord: what only the bytes can tell, as numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from download_nodes.probe import probe_audio, probe_cover, probe_video
from download_nodes.sniff import HEAD_BYTES, sniff
from microlens.errors import MicrolensError
from microlens.records import AssetRecord

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.records import AssetKind

UNKNOWN = "application/octet-stream"

_PLAUSIBLE: dict[AssetKind, tuple[str, ...]] = {
    "cover": ("image/", UNKNOWN),
    "video": ("video/", UNKNOWN),
    # A sound may lie in a video's container, and its head does not tell.
    "audio": ("audio/", "video/", UNKNOWN),
}


class NotMediaError(MicrolensError):
    """A page or another kind of file came in place of the media: a log-in page, a refusal, a playlist."""

    def __init__(self, kind: AssetKind, video_id: str, mime: str) -> None:
        super().__init__(
            f"the {kind} of video {video_id!r} is not media of that kind: its bytes are {mime}",
            hint="open its address in a browser: the site may ask for a login, or its adapter took the wrong link",
        )
        self.mime = mime


def measure(path: Path, *, kind: AssetKind, platform: str, video_id: str, sha256: str, size_bytes: int) -> AssetRecord:
    """Probe a file that is already hashed; bad media is recorded as not decodable, only another kind raises."""
    with path.open("rb") as file:
        mime = sniff(file.read(HEAD_BYTES)) or UNKNOWN
    if not mime.startswith(_PLAUSIBLE[kind]):
        raise NotMediaError(kind, video_id, mime)
    bare = AssetRecord(platform, video_id, kind, sha256, size_bytes, mime)
    return _with_cover(bare, path) if kind == "cover" else _with_stream(bare, path)


def _with_cover(bare: AssetRecord, path: Path) -> AssetRecord:
    facts = probe_cover(path)
    return replace(
        bare,
        width=facts.width,
        height=facts.height,
        phash=facts.phash,
        dominant_share=facts.dominant_share,
        is_decodable=facts.is_decodable,
    )


def _with_stream(bare: AssetRecord, path: Path) -> AssetRecord:
    facts = probe_video(path) if bare.kind == "video" else probe_audio(path)
    return replace(
        bare,
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        codecs=facts.codecs,
        phash=facts.phash,
        is_decodable=facts.is_decodable,
    )

"""From a finished download to its AssetRecord: what only the bytes can tell, as numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from download_nodes.cover import probe_cover
from microlens.records import AssetRecord
from microlens.sniff import NotMediaError, may_be, mime_of

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.records import AssetKind


def measure(path: Path, *, kind: AssetKind, platform: str, video_id: str, sha256: str, size_bytes: int) -> AssetRecord:
    """Probe a file that is already hashed; bad media is recorded as not decodable, only another kind raises.

    Runs decoders on hostile bytes: a node has it done in another process (download_nodes.measuring).
    """
    mime = mime_of(path)
    if not may_be(kind, mime):
        raise NotMediaError(kind, video_id, mime)
    bare = AssetRecord(platform, video_id, kind, sha256, size_bytes, mime)
    return _with_cover(bare, path) if kind == "cover" else _with_stream(bare, path)


def _with_cover(bare: AssetRecord, path: Path) -> AssetRecord:
    facts = probe_cover(path, bare.mime)
    return replace(
        bare,
        width=facts.width,
        height=facts.height,
        phash=facts.phash,
        dominant_share=facts.dominant_share,
        is_decodable=facts.is_decodable,
        error=facts.error,
    )


def _with_stream(bare: AssetRecord, path: Path) -> AssetRecord:
    # A process that sees covers alone is spared FFmpeg's libraries.
    from download_nodes.probe import probe_audio, probe_video  # noqa: PLC0415

    facts = probe_video(path, bare.mime) if bare.kind == "video" else probe_audio(path, bare.mime)
    return replace(
        bare,
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        container=facts.container,
        stream_count=facts.stream_count,
        codecs=facts.codecs,
        phash=facts.phash,
        frame_hashes=facts.frame_hashes,
        first_decodes=facts.first_decodes,
        middle_decodes=facts.middle_decodes,
        last_decodes=facts.last_decodes,
        is_decodable=facts.is_decodable,
        error=facts.error,
    )

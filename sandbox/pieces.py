"""Clips in pieces, as HLS serves them (RFC 8216): a head and fragments of an MP4, and the playlists that name them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from sandbox.encode import free_box
from sandbox.picture import CLIP_HEIGHT, CLIP_WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

MASTER, INDEX, HEAD = "video.m3u8", "index.m3u8", "head.mp4"
PLAYLIST_TYPE = "application/vnd.apple.mpegurl"

_PIECE_S = 1
# Cut by time, so that a clip of one group of pictures has several pieces; nothing in them changes from run to run.
_OPTIONS = {
    "fflags": "+bitexact",
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": str(_PIECE_S * 1_000_000),
}
_DIGEST_BOX_BYTES = 40


@dataclass(frozen=True)
class Pieces:
    """One clip, cut."""

    head: bytes
    fragments: tuple[bytes, ...]

    @property
    def whole(self) -> bytes:
        """What one has who puts them together."""
        return self.head + b"".join(self.fragments)

    def files(self, duration_s: float) -> dict[str, bytes]:
        """All that is served of it, by name."""
        names = [f"{number}.m4s" for number in range(len(self.fragments))]
        lines = [f'#EXT-X-MAP:URI="{HEAD}"']
        for name in names:
            lines += [f"#EXTINF:{duration_s / len(names):.3f},", name]
        index = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{_PIECE_S + 1}", *lines, "#EXT-X-ENDLIST", ""]
        return {
            INDEX: "\n".join(index).encode(),
            HEAD: self.head,
            **dict(zip(names, self.fragments, strict=True)),
        }

    def master(self, index_url: str, duration_s: float) -> bytes:
        """The playlist that names the only rendition."""
        rate = round(8 * len(self.whole) / duration_s)
        told = f"#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={CLIP_WIDTH}x{CLIP_HEIGHT}"
        return f"#EXTM3U\n{told}\n{index_url}\n".encode()


def cut(body: bytes) -> Pieces:
    """Cut an MP4 without encoding it anew. Put together the pieces are at least as large, and as distinct, as it is."""
    boxes = list(_boxes(_fragmented(body)))
    first = next(place for place, (name, _) in enumerate(boxes) if name == b"moof")
    head = b"".join(box for _, box in boxes[:first])
    fragments: list[bytes] = []
    for name, box in boxes[first:]:
        if name == b"moof":
            fragments.append(box)
        else:
            fragments[-1] += box
    # What a clip ends with beside picture and sound (padding, a borrower's stamp) is lost on the way.
    missing = len(body) - len(head) - sum(map(len, fragments)) - _DIGEST_BOX_BYTES
    fragments[-1] += free_box(hashlib.sha256(body).digest() + bytes(max(0, missing)))
    return Pieces(head, tuple(fragments))


def _fragmented(body: bytes) -> bytes:
    held = io.BytesIO()
    with av.open(io.BytesIO(body), "r") as source, av.open(held, "w", format="mp4", options=_OPTIONS) as container:
        made = {stream.index: container.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:  # the last one of a stream is empty
                packet.stream = made[packet.stream.index]
                container.mux(packet)
    return held.getvalue()


def _boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        yield body[at + 4 : at + 8], body[at : at + size]
        at += size

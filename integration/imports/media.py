"""Covers, videos and audio tracks of a folder, each named by its item's own id."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from integration.release import MEDIA_FOLDERS
from microlens.manifest import describe_output
from microlens.store import link_or_copy, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from integration.imports.lines import Tell
    from microlens.manifest import Output

_SUFFIXES = {
    "cover": {".jpg", ".jpeg", ".png", ".webp"},
    "video": {".mp4", ".webm", ".mkv", ".mov"},
    "audio": {".m4a", ".mp3", ".wav", ".ogg", ".flac", ".aac"},
}
_HEAD_BYTES = 16
_BOXES = (b"ftyp", b"moov", b"styp")
_HEADS = {
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".png": (b"\x89PNG",),
    ".webp": (b"RIFF",),
    ".webm": (b"\x1aE\xdf\xa3",),
    ".mkv": (b"\x1aE\xdf\xa3",),
    ".wav": (b"RIFF",),
    ".ogg": (b"OggS",),
    ".flac": (b"fLaC",),
}
"""How files of a kind begin; of those that are not listed, boxes of MP4 apart, it is not known."""


@dataclass
class Linked:
    files: list[tuple[int, str, Output]] = field(default_factory=list)
    """(item_id, kind, file) of what lies in the release."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Files of no item, second ones of an item, and what is not what its name says."""


def link_media(folders: Mapping[str, Path], tokens: pa.Array, release: Path, tell: Tell) -> Linked:
    """Give the files of items their public names in the release, by hard link where that can be.

    `folders` are by kind, `tokens` (N,) the items' own ids in the order of the public ones.
    """
    linked = Linked()
    if folders:
        item_ids = {str(token): place for place, token in enumerate(tokens.to_pylist(), start=1)}
        for kind, folder in folders.items():
            for item_id, file in _link_kind(kind, folder, item_ids, release, linked.left_out, tell=tell):
                linked.files.append((item_id, kind, file))
    return linked


def _link_kind(
    kind: str, folder: Path, item_ids: Mapping[str, int], release: Path, left_out: Counter[str], *, tell: Tell
) -> Iterator[tuple[int, Output]]:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    taken: set[int] = set()
    target = release / "media" / MEDIA_FOLDERS[kind]
    target.mkdir(parents=True)
    for place, name in enumerate(names):
        tell(f"{kind}s", place, len(names))
        source = folder / name
        item_id, suffix = item_ids.get(source.stem), source.suffix.lower()
        if item_id is None or suffix not in _SUFFIXES[kind] or not source.is_file():
            left_out[f"{kind}s_without_item"] += 1
        elif item_id in taken:
            left_out[f"{kind}s_repeated"] += 1
        elif not _begins_right(source, suffix):
            left_out[f"{kind}s_damaged"] += 1
        else:
            taken.add(item_id)
            path = target / f"{item_id}{suffix}"
            link_or_copy(source.resolve(), path)
            yield item_id, describe_output(release, path, sha256=sha256_of(path))


def listing(folder: Path) -> str:
    """Names and sizes, in order: what tells one folder of media from another without reading all of it."""
    with os.scandir(folder) as entries:
        return "\n".join(sorted(f"{one.name} {one.stat().st_size if one.is_file() else '-'}" for one in entries))


def _begins_right(path: Path, suffix: str) -> bool:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if suffix in {".mp4", ".mov", ".m4a"}:
        return head[4:8] in _BOXES
    return head.startswith(_HEADS[suffix]) if suffix in _HEADS else bool(head)

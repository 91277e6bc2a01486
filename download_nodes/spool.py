"""A video's comments as they come: by column, in memory and in a spool file that outlives the process.

One video's pages stand in one spool file, a JSON line each. A node that died goes on at the page where it stopped;
a torn last line is dropped. All of it goes by columns: a crawl makes a billion comments, and an object for each would
cost more than to fetch it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import orjson

from microlens.privacy import USER_KEY_BYTES, bytes_of, numbers_of
from microlens.records import refreshed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path


@dataclass(slots=True)
class Comments:
    """Comments by column, all of one length; raw ids are in none of them."""

    keys: list[int] = field(default_factory=list)
    """Of the comments, 64 bits each."""
    users: list[bytes] = field(default_factory=list)
    """Pseudonyms, 16 bytes each."""
    texts: list[str | None] = field(default_factory=list)
    genders: list[str | None] = field(default_factory=list)
    moments: list[int] = field(default_factory=list)
    """Milliseconds since 1970."""

    def __len__(self) -> int:
        return len(self.keys)

    def extend(self, more: Comments) -> None:
        self.keys += more.keys
        self.users += more.users
        self.texts += more.texts
        self.genders += more.genders
        self.moments += more.moments

    def at(self, places: Sequence[int]) -> Comments:
        return Comments(
            keys=[self.keys[place] for place in places],
            users=[self.users[place] for place in places],
            texts=[self.texts[place] for place in places],
            genders=[self.genders[place] for place in places],
            moments=[self.moments[place] for place in places],
        )

    def first(self, count: int) -> Comments:
        return self if count >= len(self) else self.at(range(count))

    def to_json(self, pending: list[str], declared: int | None) -> bytes:
        """One line of a spool; a column of nothing is null."""
        texts, genders = (column if any(column) else None for column in (self.texts, self.genders))
        keys, users = bytes_of(self.keys), b"".join(self.users)
        return orjson.dumps((pending, declared, keys.hex(), users.hex(), texts, genders, self.moments)) + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> tuple[list[str], Comments, int | None]:
        pending, declared, keys, users, texts, genders, moments = orjson.loads(line)
        nothing: list[str | None] = [None] * len(moments)
        keys, users = numbers_of(bytes.fromhex(keys)), _cut(bytes.fromhex(users), USER_KEY_BYTES)
        return pending, cls(keys, users, texts or nothing, genders or nothing, moments), declared


@dataclass(slots=True)
class Spool:
    """One video's comments so far."""

    path: Path
    video_id: str
    refresh: int = 0
    comments: Comments = field(default_factory=Comments)
    pending: list[str] | None = None
    """URLs still to be asked for; None before the first page."""
    declared: int | None = None
    """How many comments there are, as the first page says."""
    is_addition: bool = False
    """Its comments are only those that have come since the video was last read."""
    _known: set[int] = field(default_factory=set)
    _file: BinaryIO | None = None

    @classmethod
    def open(cls, folder: Path, video_id: str, refresh: int = 0) -> Spool:
        folder.mkdir(parents=True, exist_ok=True)
        spool = cls(spool_path(folder, video_id, refresh), video_id, refresh)
        if spool.path.exists():
            spool._read()
        return spool

    @property
    def name(self) -> str:
        """Of the frontier item whose work this is."""
        return refreshed(self.video_id, self.refresh)

    def add(self, comments: Comments, pending: list[str], declared: int | None = None) -> None:
        """Keep a page. The last one is not written: what follows is the part, and most videos have a single page."""
        declared = declared if self.pending is None else self.declared
        if pending:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            _write(self._file, comments.to_json(pending, declared))
        self._take_in(comments, pending, declared)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep_only(self, keys: Collection[int]) -> None:
        """The other comments are known already."""
        self.comments = self.comments.at([place for place, key in enumerate(self.comments.keys) if key in keys])
        self.is_addition = True

    def _take_in(self, comments: Comments, pending: list[str], declared: int | None) -> None:
        before = len(self._known)
        new = self._known.isdisjoint(comments.keys)
        self._known.update(comments.keys)
        if new and len(self._known) == before + len(comments):
            self.comments.extend(comments)
        else:
            self._add_unseen(comments)
        self.pending, self.declared = pending, declared

    def _add_unseen(self, comments: Comments) -> None:
        """One that moved from one page to the next while they were read is one comment."""
        seen = set(self.comments.keys)
        first = {key: place for place, key in reversed(list(enumerate(comments.keys))) if key not in seen}
        self.comments.extend(comments.at(sorted(first.values())))

    def _read(self) -> None:
        whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            pending, comments, declared = Comments.from_json(line)
            self._take_in(comments, pending, declared)
            whole += len(line)
        with self.path.open("r+b") as file:
            file.truncate(whole)


def spool_path(folder: Path, video_id: str, refresh: int) -> Path:
    """Where it lies: a site chooses its ids, so an id is no file name."""
    return folder / f"{hashlib.sha256(refreshed(video_id, refresh).encode()).hexdigest()}.jsonl"


def _cut(whole: bytes, size: int) -> list[bytes]:
    """Keys of one size, from all of them."""
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def _write(file: BinaryIO, line: bytes) -> None:
    """A whole line: a disk that fills up takes a part of it before it says so."""
    written = file.write(line)
    while written < len(line):
        written += file.write(line[written:])

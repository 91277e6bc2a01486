"""A video's comments: every page is kept, with what is still to be asked for, before the next is fetched.

One video's pages stand in one spool file, a JSON line each. A node that died goes on at the page where it stopped;
a torn last line is dropped. Complete videos are gathered into one Parquet part, which the ledger lists in the same
transaction that marks them complete. In a refresh a video's comments are read again from the newest down, as far as
they have changed (download_nodes.known_comments).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable  # noqa: TC003 - an annotation outside of functions
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Protocol

import orjson
import pyarrow as pa

from download_nodes.known_comments import known_comments
from microlens.parts import write_part
from microlens.platforms.base import Page
from microlens.privacy import scrub
from microlens.records import refreshed
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Iterable
    from pathlib import Path

    from microlens.ledger import Part
    from microlens.platforms.base import ParsedComment, Platform
    from microlens.privacy import Pseudonymiser
    from microlens.records import FrontierItem
    from microlens.runs import Run

PART_ROWS = 50_000
PART_AFTER_S = 3.0
GROUP_ROWS = 10_000
"""A part is sorted by video: a refresh that looks for one video's comments reads only a group or two of it."""

MAX_TEXT_CHARACTERS = 10_000
_KNOWN_USERS = 200_000


Row = tuple[str, str, str | None, str | None, int]
"""Of one comment: keys of it and of its user in hexadecimal, text, gender, moment in milliseconds."""


@dataclass(slots=True)
class Spool:
    """One video's comments so far."""

    path: Path
    video_id: str
    refresh: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    """By comment id: one that moved from one page to the next while they were read is one comment."""
    pending: list[str] | None = None
    """URLs still to be asked for; None before the first page."""
    declared: int | None = None
    """How many comments there are, as the first page says."""
    is_addition: bool = False
    """Its rows are only those that have come since the video was last read."""

    @classmethod
    def open(cls, folder: Path, video_id: str, refresh: int = 0) -> Spool:
        folder.mkdir(parents=True, exist_ok=True)
        # A site chooses its ids, so an id is no file name.
        name = hashlib.sha256(refreshed(video_id, refresh).encode()).hexdigest()
        spool = cls(folder / f"{name}.jsonl", video_id, refresh)
        if spool.path.exists():
            spool._read()
        return spool

    @property
    def name(self) -> str:
        """Of the frontier item whose work this is."""
        return refreshed(self.video_id, self.refresh)

    def append(self, rows: list[Row], pending: list[str], declared: int | None = None) -> None:
        declared = declared if self.pending is None else self.declared
        with self.path.open("ab") as file:
            file.write(orjson.dumps((pending, rows, declared)) + b"\n")
        self._add(rows, pending, declared)

    def keep_only(self, comment_ids: Collection[str]) -> None:
        """The other rows are known already."""
        self.rows = {key: row for key, row in self.rows.items() if key in comment_ids}
        self.is_addition = True

    def _add(self, rows: Iterable[Row], pending: list[str], declared: int | None) -> None:
        for row in rows:
            self.rows.setdefault(row[0], row)
        self.pending, self.declared = pending, declared

    def _read(self) -> None:
        whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            pending, rows, declared = orjson.loads(line)
            self._add(map(tuple, rows), pending, declared)
            whole += len(line)
        with self.path.open("r+b") as file:
            file.truncate(whole)


class GetPage(Protocol):
    """Fetches a page within its host's budget; one that is paid for is not asked for there again."""

    def __call__(self, url: str, *, is_paid: bool) -> Awaitable[bytes]: ...


class CommentCollector:
    """Collects one video's comments into its spool."""

    def __init__(self, run: Run, platform: Platform, get: GetPage) -> None:
        self._run = run
        self._platform = platform
        self._get = get
        # Who comments at all comments again: a key met lately is not computed anew.
        self._user_key = lru_cache(_KNOWN_USERS)(partial(_user_key_hex, run.pseudonyms, platform.name))
        self._clean = _CLEANERS[run.recipe.comments.text]
        self._has_gender = run.recipe.comments.gender
        # An adapter need not say it: where it does not, the whole list is read every time.
        self._is_newest_first = getattr(platform, "newest_first", False)

    async def collect(self, item: FrontierItem) -> Spool:
        """Fetch what is missing; raises FetchError, with everything before kept, if the site refuses."""
        limit = self._run.recipe.comments.max_per_video
        spool = Spool.open(self._run.spool, item.payload["video_id"], item.payload["refresh"])
        known = None
        if spool.refresh and self._is_newest_first:
            known = await asyncio.to_thread(known_comments, self._run, spool.video_id, spool.refresh)
        pending = [item.url] if spool.pending is None else spool.pending
        is_paid = True  # the claim took one request from its host's budget
        asked: set[str] = set()
        while pending and len(spool.rows) < limit and not (known and known.is_enough(spool.rows, spool.declared)):
            url, *later = pending
            if url in asked or len(asked) > limit:
                break  # a cursor that goes round, or pages without comments and without end
            asked.add(url)
            page = self._platform.parse_comments(Page(url, await self._get(url, is_paid=is_paid)))
            is_paid = False
            pending = [*page.next_urls, *later]
            spool.append([self._row(comment) for comment in page.comments], pending, _count_or_none(page.total))
        if known and known.is_enough(spool.rows, spool.declared):
            spool.keep_only(known.added(spool.rows))
        return spool

    def _row(self, comment: ParsedComment) -> Row:
        """A spool row; the raw user id ends here."""
        return (
            self._run.pseudonyms.comment_key(self._platform.name, comment.comment_id).hex(),
            self._user_key(comment.user_id),
            self._clean(comment.text[:MAX_TEXT_CHARACTERS]),
            comment.gender if self._has_gender else None,
            comment.commented_at_ms,
        )


def _count_or_none(total: int | None) -> int | None:
    """A count that the ledger's column holds."""
    return total if total is not None and 0 <= total < 1 << 31 else None


def _user_key_hex(pseudonyms: Pseudonymiser, platform: str, raw_user_id: str) -> str:
    return pseudonyms.user_key(platform, raw_user_id).hex()


def _drop(_text: str) -> None:
    return None


_CLEANERS: dict[str, Callable[[str], str | None]] = {"scrubbed": scrub, "raw": str, "none": _drop}


class CommentParts:
    """Gathers complete videos and commits them, many at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spools: dict[str, Spool] = {}
        self._since = 0.0

    def add(self, spool: Spool) -> None:
        if not self._spools:
            self._since = time.monotonic()
        self._spools[spool.name] = spool

    @property
    def names(self) -> list[str]:
        """Items whose leases must be kept until their part is committed."""
        return list(self._spools)

    def is_due(self) -> bool:
        rows = sum(len(spool.rows) for spool in self._spools.values())
        return bool(self._spools) and (rows >= PART_ROWS or time.monotonic() - self._since > PART_AFTER_S)

    def take(self) -> dict[str, Spool]:
        """Hand over all complete videos, by item. Called where they are added, so that none falls between two parts."""
        spools, self._spools = self._spools, {}
        return spools

    def commit(self, spools: dict[str, Spool]) -> None:
        """Commit complete videos, those of a refresh as one part; may run in a thread."""
        for refresh in sorted({spool.refresh for spool in spools.values()}):
            mine = {spool.video_id: spool for spool in spools.values() if spool.refresh == refresh}
            self._commit_part(refresh, mine)
        for spool in spools.values():
            spool.path.unlink(missing_ok=True)

    def _commit_part(self, refresh: int, spools: dict[str, Spool]) -> None:
        """Commit spools of one refresh, by video; those that another node was quicker with are left out."""
        left = dict(spools)
        while left:
            table = self._table(left)
            is_empty = table.num_rows == 0
            part = None if is_empty else write_part(self._run.folder, "comments", table, group_rows=GROUP_ROWS)
            taken = self._run.ledger.commit_comments(
                part,
                {video_id: len(self._taken(spool)) for video_id, spool in left.items()},
                refresh=refresh,
                declared={video_id: spool.declared for video_id, spool in left.items()},
                additions={video_id for video_id, spool in left.items() if spool.is_addition},
            )
            if not taken:
                break
            self._discard(part)
            left = {video_id: spool for video_id, spool in left.items() if video_id not in taken}

    def _table(self, spools: dict[str, Spool]) -> pa.Table:
        """Build the rows of complete videos column by column, far quicker than row by row."""
        taken = {name: self._taken(spools[name]) for name in sorted(spools)}
        rows = [row for rows in taken.values() for row in rows]
        columns = tuple(zip(*rows, strict=True)) or ((),) * 5
        names = [name for name, rows in taken.items() for _ in rows]
        arrays = {
            "platform": pa.array([self._run.recipe.platform] * len(rows), pa.string()),
            "video_id": pa.array(names, pa.string()),
            "comment_id": pa.array(columns[0], pa.string()),
            "user_key": pa.array([bytes.fromhex(key) for key in columns[1]], pa.binary(16)),
            "text": pa.array(columns[2], pa.string()),
            "gender": pa.array(columns[3], pa.string()),
            "commented_at_ms": pa.array(columns[4], pa.int64()),
        }
        return pa.table(arrays, schema=CRAWLED_COMMENTS)

    def _taken(self, spool: Spool) -> list[Row]:
        """What is kept of a video: its last page may hold more than the recipe takes."""
        return list(spool.rows.values())[: self._run.recipe.comments.max_per_video]

    def _discard(self, part: Part | None) -> None:
        if part is not None:
            (self._run.folder / part.path).unlink(missing_ok=True)

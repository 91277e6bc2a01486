"""A video's comments: every page is kept, with what is still to be asked for, before the next is fetched.

One video's pages stand in one spool file, a JSON line each. A node that died goes on at the page where it stopped;
a torn last line is dropped. Complete videos are gathered into one Parquet part, which the ledger lists in the same
transaction that marks them complete.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from microlens.parts import write_part
from microlens.platforms.base import Page
from microlens.privacy import scrub
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from microlens.ledger import Part
    from microlens.platforms.base import ParsedComment, Platform
    from microlens.records import FrontierItem
    from microlens.runs import Run

PART_ROWS = 50_000
PART_AFTER_S = 3.0


@dataclass(slots=True)
class Spool:
    """One video's comments so far."""

    path: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    pending: list[str] | None = None
    """URLs still to be asked for; None before the first page."""

    @classmethod
    def open(cls, folder: Path, video_id: str) -> Spool:
        folder.mkdir(parents=True, exist_ok=True)
        # A site chooses its ids, so an id is no file name.
        spool = cls(folder / f"{hashlib.sha256(video_id.encode()).hexdigest()}.jsonl")
        if spool.path.exists():
            spool._read()
        return spool

    def append(self, rows: list[dict[str, Any]], pending: list[str]) -> None:
        with self.path.open("ab") as file:
            file.write(orjson.dumps({"pending": pending, "rows": rows}) + b"\n")
        self.rows += rows
        self.pending = pending

    def distinct(self) -> list[dict[str, Any]]:
        """A comment that moved from one page to the next while they were read is one comment."""
        first: dict[str, dict[str, Any]] = {}
        for row in self.rows:
            first.setdefault(row["comment_id"], row)
        return list(first.values())

    def _read(self) -> None:
        whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            page = orjson.loads(line)
            self.rows += page["rows"]
            self.pending = page["pending"]
            whole += len(line)
        with self.path.open("r+b") as file:
            file.truncate(whole)


class CommentCollector:
    """Collects one video's comments into its spool."""

    def __init__(self, run: Run, platform: Platform, get: Callable[[str], Awaitable[bytes]]) -> None:
        self._run = run
        self._platform = platform
        self._get = get
        """Fetches a page within its host's budget."""

    async def collect(self, item: FrontierItem) -> Spool:
        """Fetch what is missing; raises FetchError, with everything before kept, if the site refuses."""
        video_id = item.payload["video_id"]
        limit = self._run.recipe.comments.max_per_video
        spool = Spool.open(self._run.spool, video_id)
        pending = [item.url] if spool.pending is None else spool.pending
        while pending and len(spool.distinct()) < limit:
            url, *later = pending
            page = self._platform.parse_comments(Page(url, await self._get(url)))
            pending = [*page.next_urls, *later]
            spool.append([self._row(comment) for comment in page.comments], pending)
        return spool

    def _row(self, comment: ParsedComment) -> dict[str, Any]:
        """A spool row; the raw user id ends here."""
        wanted = self._run.recipe.comments
        text = {"raw": comment.text, "none": None}.get(wanted.text, scrub(comment.text))
        return {
            "comment_id": comment.comment_id,
            "user_key": self._run.pseudonyms.user_key(self._platform.name, comment.user_id).hex(),
            "text": text,
            "gender": comment.gender if wanted.gender else None,
            "commented_at_ms": comment.commented_at_ms,
        }


class CommentParts:
    """Gathers complete videos and commits them, many at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spools: dict[str, Spool] = {}
        self._since = 0.0

    def add(self, video_id: str, spool: Spool) -> None:
        if not self._spools:
            self._since = time.monotonic()
        self._spools[video_id] = spool

    @property
    def names(self) -> list[str]:
        """Videos whose leases must be kept until their part is committed."""
        return list(self._spools)

    def is_due(self) -> bool:
        rows = sum(len(spool.rows) for spool in self._spools.values())
        return bool(self._spools) and (rows >= PART_ROWS or time.monotonic() - self._since > PART_AFTER_S)

    def take(self) -> dict[str, Spool]:
        """Hand over all complete videos. Called where they are added, so that none falls between two parts."""
        spools, self._spools = self._spools, {}
        return spools

    def commit(self, spools: dict[str, Spool]) -> None:
        """Commit complete videos as one part; may run in a thread."""
        left = dict(spools)
        while left:
            rows = [row for video_id, spool in left.items() for row in self._rows(video_id, spool)]
            part = write_part(self._run.folder, "comments", rows, CRAWLED_COMMENTS) if rows else None
            taken = self._run.ledger.commit_comments(part, {name: len(self._taken(left[name])) for name in left})
            if not taken:
                break
            self._discard(part)
            left = {name: spool for name, spool in left.items() if name not in taken}
        for spool in spools.values():
            spool.path.unlink(missing_ok=True)

    def _rows(self, video_id: str, spool: Spool) -> list[dict[str, Any]]:
        platform = self._run.recipe.platform
        return [
            {**row, "platform": platform, "video_id": video_id, "user_key": bytes.fromhex(row["user_key"])}
            for row in self._taken(spool)
        ]

    def _taken(self, spool: Spool) -> list[dict[str, Any]]:
        """What is kept of a video: its last page may hold more than the recipe takes."""
        return spool.distinct()[: self._run.recipe.comments.max_per_video]

    def _discard(self, part: Part | None) -> None:
        if part is not None:
            (self._run.folder / part.path).unlink(missing_ok=True)

"""A video's comments: every page is kept, with what is still to be asked for, before the next is fetched.

One video's pages stand in one spool file, a JSON line each. A node that died goes on at the page where it stopped;
a torn last line is dropped. Complete videos are gathered into one Parquet part, which the ledger lists in the same
transaction that marks them complete. In a refresh a video's comments are read again from the newest down, as far as
they have changed (download_nodes.known_comments). All of it goes by columns: a crawl makes a billion comments, and an
object for each would cost more than to fetch it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence  # noqa: TC003 - an annotation outside of functions
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

import orjson
import pyarrow as pa

from download_nodes.known_comments import known_comments
from microlens.parts import write_part
from microlens.platforms.base import Page
from microlens.privacy import USER_KEY_BYTES, scrub_all
from microlens.records import refreshed
from microlens.samples import Samples
from microlens.tables import CRAWLED_COMMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection
    from pathlib import Path

    from download_nodes.known_comments import KnownComments
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


@dataclass(slots=True)
class Comments:
    """Comments by column, all of one length; raw ids are in none of them."""

    keys: list[str] = field(default_factory=list)
    """Of the comments, 32 hexadecimal digits each."""
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
        users = b"".join(self.users).hex()
        return orjson.dumps((pending, declared, self.keys, users, texts, genders, self.moments)) + b"\n"

    @classmethod
    def from_json(cls, line: bytes) -> tuple[list[str], Comments, int | None]:
        pending, declared, keys, users, texts, genders, moments = orjson.loads(line)
        nothing: list[str | None] = [None] * len(moments)
        whole = bytes.fromhex(users)
        cut = [whole[at : at + USER_KEY_BYTES] for at in range(0, len(whole), USER_KEY_BYTES)]
        return pending, cls(keys, cut, texts or nothing, genders or nothing, moments), declared


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
    _known: set[str] = field(default_factory=set)
    _file: BinaryIO | None = None

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

    def add(self, comments: Comments, pending: list[str], declared: int | None = None) -> None:
        """Keep a page. The last one is not written: what follows is the part, and most videos have a single page."""
        declared = declared if self.pending is None else self.declared
        if pending:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            self._file.write(comments.to_json(pending, declared))
        self._take_in(comments, pending, declared)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def keep_only(self, keys: Collection[str]) -> None:
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


class GetPage(Protocol):
    """Fetches a page within its host's budget; one that is paid for is not asked for there again."""

    def __call__(self, url: str, *, is_paid: bool) -> Awaitable[bytes]: ...


class CommentCollector:
    """Collects one video's comments into its spool."""

    def __init__(self, run: Run, platform: Platform, get: GetPage) -> None:
        self._run = run
        self._platform = platform
        self._get = get
        self._samples = Samples(run.folder / "samples")
        self._users = _KnownUsers(run.pseudonyms, platform.name)
        self._clean = _CLEANERS[run.recipe.comments.text]
        self._has_gender = run.recipe.comments.gender
        # An adapter need not say it: where it does not, the whole list is read every time.
        self._is_newest_first = getattr(platform, "newest_first", False)

    async def collect(self, item: FrontierItem) -> Spool:
        """Fetch what is missing; raises FetchError, with everything before kept, if the site refuses."""
        spool = Spool.open(self._run.spool, item.payload["video_id"], item.payload["refresh"])
        try:
            await self._fill(spool, item)
        finally:
            spool.close()
        return spool

    async def _fill(self, spool: Spool, item: FrontierItem) -> None:
        limit = self._run.recipe.comments.max_per_video
        known = None
        if spool.refresh and self._is_newest_first:
            known = await asyncio.to_thread(known_comments, self._run, spool.video_id, spool.refresh)
        pending = [item.url] if spool.pending is None else spool.pending
        is_paid = True  # the claim took one request from its host's budget
        asked: set[str] = set()
        while pending and len(spool.comments) < limit and not (known and _is_enough(known, spool)):
            url, *later = pending
            if url in asked or len(asked) > limit:
                break  # a cursor that goes round, or pages without comments and without end
            asked.add(url)
            answer = Page(url, await self._get(url, is_paid=is_paid))
            with self._samples.of("comments", answer):
                page = self._platform.parse_comments(answer)
            is_paid = False
            pending = [*page.next_urls, *later]
            spool.add(self._without_names(page.comments), pending, _count_or_none(page.total))
        if known and _is_enough(known, spool):
            spool.keep_only(known.added(spool.comments.keys))

    def _without_names(self, comments: Sequence[ParsedComment]) -> Comments:
        """The raw user ids end here."""
        if not comments:
            return Comments()
        ids, users, texts, moments, genders = zip(*comments, strict=True)
        return Comments(
            keys=self._run.pseudonyms.comment_keys(self._platform.name, ids),
            users=self._users.keys_of(users),
            texts=self._clean(texts if max(map(len, texts)) <= MAX_TEXT_CHARACTERS else _shortened(texts)),
            genders=list(genders) if self._has_gender else [None] * len(ids),
            moments=list(moments),
        )


def _is_enough(known: KnownComments, spool: Spool) -> bool:
    return known.is_enough(spool.comments.keys, spool.declared)


def _count_or_none(total: int | None) -> int | None:
    """A count that the ledger's column holds."""
    return total if total is not None and 0 <= total < 1 << 31 else None


def _shortened(texts: Sequence[str]) -> list[str]:
    return [text[:MAX_TEXT_CHARACTERS] for text in texts]


class _KnownUsers(dict[str, bytes]):
    """Pseudonyms by raw id, in memory alone: who comments at all comments again."""

    def __init__(self, pseudonyms: Pseudonymiser, platform: str) -> None:
        super().__init__()
        self._pseudonyms = pseudonyms
        self._platform = platform

    def keys_of(self, raw_user_ids: Sequence[str]) -> list[bytes]:
        if len(self) > _KNOWN_USERS:
            self.clear()
        return [self[raw] for raw in raw_user_ids]

    def __missing__(self, raw_user_id: str) -> bytes:
        key = self[raw_user_id] = self._pseudonyms.user_key(self._platform, raw_user_id)
        return key


_CLEANERS: dict[str, Callable[[Sequence[str]], list[str | None]]] = {
    "scrubbed": lambda texts: list(scrub_all(texts)),
    "raw": list,
    "none": lambda texts: [None] * len(texts),
}


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
        rows = sum(len(spool.comments) for spool in self._spools.values())
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
        taken = {name: self._taken(spools[name]) for name in sorted(spools)}
        names, whole = [], Comments()
        for name, comments in taken.items():
            names += [name] * len(comments)
            whole.extend(comments)
        arrays = {
            "platform": pa.array([self._run.recipe.platform] * len(names), pa.string()),
            "video_id": pa.array(names, pa.string()),
            "comment_id": pa.array(whole.keys, pa.string()),
            "user_key": pa.array(whole.users, pa.binary(USER_KEY_BYTES)),
            "text": pa.array(whole.texts, pa.string()),
            "gender": pa.array(whole.genders, pa.string()),
            "commented_at_ms": pa.array(whole.moments, pa.int64()),
        }
        return pa.table(arrays, schema=CRAWLED_COMMENTS)

    def _taken(self, spool: Spool) -> Comments:
        """What is kept of a video: its last page may hold more than the recipe takes."""
        return spool.comments.first(self._run.recipe.comments.max_per_video)

    def _discard(self, part: Part | None) -> None:
        if part is not None:
            (self._run.folder / part.path).unlink(missing_ok=True)

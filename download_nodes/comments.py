"""A video's comments: every page is kept, with what is still to be asked for, before the next is fetched.

In a refresh a video's comments are read again from the newest down, as far as they have changed
(download_nodes.known_comments).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence  # noqa: TC003 - an annotation outside of functions
from typing import TYPE_CHECKING, Protocol

from download_nodes.known_comments import known_comments
from download_nodes.spool import Comments, Spool
from microlens.platforms.base import Page
from microlens.privacy import scrub_all
from microlens.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from download_nodes.known_comments import KnownComments
    from microlens.platforms.base import ParsedComment, Platform
    from microlens.privacy import Pseudonymiser
    from microlens.records import FrontierItem
    from microlens.runs import Run

MAX_TEXT_CHARACTERS = 10_000
_KNOWN_USERS = 200_000


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

"""Media links that have run out are no failure of their files: the collector is asked for fresh ones."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from download_nodes.fetch import FetchError
from microlens.backlog import FRESH_LINKS, MOST_LINKS, asset_name, current_item, fresh_items, media_items
from microlens.clock import now_ms
from microlens.fresh_links import NOT_ASKED, OLD_MS, Expired
from microlens.outcomes import Refusal
from microlens.platforms.link_expiry import is_signed
from microlens.records import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.frontier import Frontier
    from microlens.records import FrontierItem
    from microlens.runs import Run

_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
"""What sites answer to a link that has run out, among other things."""
_INSTEAD = "not_media"
"""Others lead to a page that says so."""


class ExpiredLinks:
    """Used by one node: `check` before a file is asked for, `hand_back` once it was refused."""

    def __init__(self, run: Run, frontier: Frontier) -> None:
        self._run = run
        self._frontier = frontier

    def check(self, item: FrontierItem) -> None:
        """FetchError if the item's link is known to have run out, so that its site need not be asked.

        The last link that a file is given is tried all the same: then it is the site that refuses, and not our clock.
        """
        if _has_ended(item) and _link(item) < MOST_LINKS:
            raise FetchError(Refusal(NOT_ASKED, is_final=True))

    def hand_back(self, item: FrontierItem, refusal: Refusal, status: int | None) -> bool:
        """Close a refused item and ask for a fresh link instead, if its link has run out and it may have another.

        The other files of the video whose links are known to have ended ask with it: their page is read once.
        """
        if item.kind != "media" or not refusal.is_final or not self._is_expired(item, refusal, status):
            return False
        video_id = item.payload["video_id"]
        mine = _expired(item, refusal.reason, status)
        others = [_expired(other, NOT_ASKED) for other in self._others(item)]
        self._run.fresh_links.expire([mine, *others], [self._failure(item, refusal, status)])
        self._frontier.push(fresh_items(self._run, [video_id]))
        self._frontier.ack("media", [item.name])
        return True

    def _is_expired(self, item: FrontierItem, refusal: Refusal, status: int | None) -> bool:
        if refusal.reason == NOT_ASKED:
            return True
        if _is_believed(item) or not (status in _STATUSES or refusal.reason == _INSTEAD):
            return False
        if status in _STATUSES and "expires_at_ms" in item.payload:
            return True  # whatever our clock says, or whether the site keeps to its word
        read_at_ms = self._run.fresh_links.read_at_ms(_expired(item, refusal.reason))
        is_old = read_at_ms is not None and now_ms() - read_at_ms > OLD_MS
        return _has_ended(item) or (is_old and is_signed(item.url))

    def _others(self, item: FrontierItem) -> Iterator[FrontierItem]:
        video_id = item.payload["video_id"]
        given = self._run.fresh_links.given([video_id])
        stored = {asset_name(video_id, row["kind"]) for row in self._run.ledger.assets([video_id])}
        for standing in self._run.refreshes.standings([video_id]):
            for other in media_items(standing.page, self._run.recipe.media):
                kind = other.payload["asset"]
                current = current_item(other, given.get((video_id, kind)), self._run.recipe.media)
                is_open = current is not None and kind != item.payload["asset"] and other.name not in stored
                if current is not None and is_open and _has_ended(current) and _link(current) < MOST_LINKS:
                    yield current

    def _failure(self, item: FrontierItem, refusal: Refusal, status: int | None) -> Failure:
        return Failure(
            work="media",
            name=asset_name(item.payload["video_id"], item.payload["asset"]),
            platform=self._run.recipe.platform,
            video_id=item.payload["video_id"],
            url=item.url,
            reason=NOT_ASKED,
            http_status=status,
            attempt=item.attempt + 1,
            is_final=False,
            detail="not asked for" if refusal.reason == NOT_ASKED else f"its site said: {refusal.reason}",
        )


def _link(item: FrontierItem) -> int:
    """Which fresh link the item has; 0 for the one that the first visit saw."""
    return int(item.payload.get("link", 0))


def _is_believed(item: FrontierItem) -> bool:
    """Whether a refusal of the item's link is one too many."""
    is_last = item.payload.get("refused", 0) + 1 >= FRESH_LINKS
    return _link(item) > 0 and (is_last or _link(item) >= MOST_LINKS)


def _has_ended(item: FrontierItem) -> bool:
    ends_at_ms = item.payload.get("expires_at_ms")
    return ends_at_ms is not None and now_ms() >= ends_at_ms


def _expired(item: FrontierItem, reason: str, status: int | None = None) -> Expired:
    return Expired(item.payload["video_id"], item.payload["asset"], _link(item), reason, status)

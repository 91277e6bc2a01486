"""What goes wrong with one item costs that item alone, is written down, and is tried again where that may help."""

from __future__ import annotations

import asyncio
import errno
import traceback
from typing import TYPE_CHECKING

from download_nodes.fetch import FetchError
from download_nodes.fetch_errors import LOCAL
from download_nodes.links import ExpiredLinks
from download_nodes.local_trouble import LocalTroubleError
from microlens.backlog import asset_name
from microlens.conversations import ConversationOverError
from microlens.database import LedgerFullError
from microlens.errors import MicrolensError, PageChangedError
from microlens.fresh_links import NOT_ASKED
from microlens.frontier import host_of
from microlens.logs import log
from microlens.outcomes import HostRestsError, Refusal, policy_of
from microlens.records import Failure, FrontierItem
from microlens.robots import RETRY_S
from microlens.sniff import NotMediaError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from download_nodes.courtesy import Courtesy
    from download_nodes.disk import Disk
    from download_nodes.flights import Flights
    from download_nodes.pulse import Pulse
    from microlens.frontier import Frontier
    from microlens.records import WorkKind
    from microlens.runs import Run

_CHANGED_PAGES = 3
_CHANGED_SHARE = 0.1
_REST_COUNTS = 0.1
"""Of an attempt: what waiting once for a host costs that nobody has ever had an answer from."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class Failures:
    """One process's ways out of an item's work."""

    def __init__(
        self, run: Run, frontier: Frontier, *, courtesy: Courtesy, flights: Flights, disk: Disk, pulse: Pulse
    ) -> None:
        self._run = run
        self._frontier = frontier
        self._courtesy = courtesy
        self._flights = flights
        self._disk = disk
        self._pulse = pulse
        self.links = ExpiredLinks(run, frontier)
        self._changed = self._read = 0

    def count_read(self) -> None:
        """Another video's comments could be read."""
        self._read += 1

    async def guarded(self, work: Callable[[FrontierItem], Awaitable[None]], item: FrontierItem) -> None:
        """Do one item's work; whatever goes wrong costs this one item, and is written down."""
        try:
            await self._guarded(work, item)
        except LedgerFullError as error:  # it cannot be written down: as if it had not been tried
            self._disk.was_full(is_here=not error.is_elsewhere)
            await asyncio.to_thread(self._give_back, item)

    async def _guarded(self, work: Callable[[FrontierItem], Awaitable[None]], item: FrontierItem) -> None:
        try:
            await work(item)
        except asyncio.CancelledError:  # the node ends before the work does
            self._give_back(item)
            raise
        except FetchError as error:
            await self._not_fetched(item, error)
        except HostRestsError as rest:
            await self._await_host(item, rest)
        except ConversationOverError:
            await asyncio.to_thread(self._give_back, item)
        except NotMediaError as error:
            await self._courtesy.answered(item.url)
            await self._failed(item, Refusal("not_media", is_final=True), detail=error.message)
        except PageChangedError as error:
            log.warning("page_changed", url=item.url, error=error.message, hint=error.hint)
            await self._failed(item, Refusal(error.reason, is_final=True), detail=str(error))
            self._check_changed(error)
        except MicrolensError:
            raise
        except OSError as error:
            self._check_disk(error, item.url)
            await asyncio.to_thread(self._give_back, item)
        except Exception:  # noqa: BLE001 -- told with its traceback: a bug met on one item must not stop the node
            log.exception("item_failed", kind=item.kind, name=item.name)
            await self._failed(item, Refusal("node_error", is_final=False), detail=traceback.format_exc())

    async def not_stored(self, kind: WorkKind, names: Collection[str], error: OSError | LedgerFullError) -> None:
        """Nothing of a batch could be committed: it is done again once there is space; LocalTroubleError otherwise."""
        self._check_disk(error, f"{len(names)} finished items")
        for name in names:
            await asyncio.to_thread(self._give_back, FrontierItem(kind, name, "", {}))

    async def _await_host(self, item: FrontierItem, rest: HostRestsError) -> None:
        """Give an item back until a host that it needs has rested."""
        # Its own host's clocks keep an item; another host's rest must be waited for.
        after_s = 0.0 if rest.host == host_of(item.url) else rest.wait_s
        if not rest.is_unknown:
            await asyncio.to_thread(self._give_back, item, after_s)
        elif item.attempt < self._run.recipe.politeness.max_attempts:
            # Not for nothing: a site that redirects to another dead host each time had it come back for ever.
            await asyncio.to_thread(self._give_back, item, after_s, _REST_COUNTS)
        else:
            await self._failed(item, Refusal("robots_unreachable", is_final=True), detail=str(rest))

    async def _not_fetched(self, item: FrontierItem, error: FetchError) -> None:
        if error.refusal.reason in LOCAL:
            self._check_disk(error.__cause__, item.url)
            await asyncio.to_thread(self._give_back, item)
            return
        await asyncio.to_thread(self._courtesy.tell, error)
        await self._failed(item, error.refusal, detail=str(error.__cause__ or ""), fetch=error)

    def _check_disk(self, error: BaseException | None, what: str) -> None:
        """A disk that is full is waited for; LocalTroubleError for any other trouble of the machine."""
        if isinstance(error, LedgerFullError):
            self._disk.was_full(is_here=not error.is_elsewhere)
            return
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            self._disk.was_full()
            return
        raise LocalTroubleError(
            f"this node cannot store {what}: {error}",
            hint="mend the disk or its rights, then run the same command: nothing is lost",
        ) from error

    def _give_back(self, item: FrontierItem, after_s: float = 0.0, counts: float = 0.0) -> None:
        self._frontier.give_back(item, after_s=after_s, counts=counts)
        self._flights.land([item.name])

    def _check_changed(self, error: PageChangedError) -> None:
        """A few answers that nobody can read are dropped with that reason; many stop the node."""
        self._changed += 1
        if self._changed > _CHANGED_PAGES and self._changed > _CHANGED_SHARE * (self._read + self._changed):
            raise PageChangedError(
                f"the comments of {self._changed} videos cannot be read, so the node was stopped: {error.message}",
                hint=f"{error.hint}; then `microlens-build retry` and the same command: nothing is lost",
            )

    async def _failed(
        self, item: FrontierItem, refusal: Refusal, *, detail: str, fetch: FetchError | None = None
    ) -> None:
        """Write an attempt down; the last one closes the item, unless its host rather than the item may be at fault."""
        status = fetch.status if fetch else None
        if await asyncio.to_thread(self._hand_back, item, refusal, status):
            return
        policy = policy_of(refusal.reason)
        is_last = item.attempt + 1 >= policy.attempts(self._run.recipe.politeness.max_attempts)
        is_final = refusal.is_final or (is_last and not (fetch and fetch.is_hosts_fault))
        failure = Failure(
            work=item.kind,
            name=asset_name(item.payload["video_id"], item.payload["asset"]) if item.kind == "media" else item.name,
            platform=self._run.recipe.platform,
            video_id=item.payload["video_id"],
            url=_printable(fetch.url if fetch and fetch.url else item.url),
            reason=refusal.reason,
            http_status=status,
            attempt=item.attempt + 1,
            is_final=is_final,
            detail=_printable(detail[-2000:]),
        )
        self._pulse.failed(refusal.reason)
        await asyncio.to_thread(self._record, item, failure, policy.delay_s(item.attempt), is_last=is_last)

    def _hand_back(self, item: FrontierItem, refusal: Refusal, status: int | None) -> bool:
        """Ask for a fresh link, where the item's has run out: that is no failure of its file."""
        is_handed_back = self.links.hand_back(item, refusal, status)
        if is_handed_back:
            self._pulse.counts[f"failed_{NOT_ASKED}"] += 1  # told, and no cause for alarm
            self._flights.land([item.name])
        return is_handed_back

    def _record(self, item: FrontierItem, failure: Failure, delay_s: float, *, is_last: bool) -> None:
        self._run.ledger.record_failure(failure)
        if failure.is_final:
            self._frontier.ack(item.kind, [item.name])
        elif is_last:
            self._frontier.give_back(item, after_s=RETRY_S)
        else:
            self._frontier.retry(item, after_s=delay_s)
        self._flights.land([item.name])


def _printable(text: str) -> str:
    """Text that any ledger takes: what a site sends may hold halves of characters, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")

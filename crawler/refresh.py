"""The re-crawl: known videos' pages are read again, and their comments with them; no link is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crawler.commits import Committer
from crawler.plan import CrawlPlan
from crawler.run import fetch_pages
from microlens.backlog import comments_item, settled, visit_item
from microlens.comment_lists import newest_readings
from microlens.errors import NotReadyError
from microlens.frontier import Frontier
from microlens.ledger import UNREADABLE
from microlens.platforms import platform_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from crawler.commits import Outcome
    from microlens.ledger_rows import PageRow, Part
    from microlens.platforms.base import ParsedVideo, Platform
    from microlens.records import WorkKind
    from microlens.refreshes import Refresh
    from microlens.runs import Run


class RefreshCommitter(Committer):
    """Commits the visits of one refresh; its plan stays empty, for the first crawl's facts are not touched."""

    kind: ClassVar[WorkKind] = "visit"

    def __init__(self, run: Run, refresh: Refresh, frontier: Frontier, platform: Platform) -> None:
        super().__init__(run, CrawlPlan(run.recipe, platform), frontier, platform)
        self._refresh = refresh
        self._wanted: set[str] = set()
        self._seen = 0
        """How far in the ledger's visits this node has read."""

    @property
    def is_finished(self) -> bool:
        return not self._wanted

    @property
    def wanted(self) -> int:
        return len(self._wanted)

    def needs_related(self, video: ParsedVideo) -> bool:  # noqa: ARG002 - the base's signature
        return False

    def restore(self) -> None:
        """Push to the frontier whatever the refresh still lacks, and the comments of the videos that it has read."""
        due = self._run.refreshes.due(self._refresh)
        self._wanted = {video_id for video_id, _ in due}
        self._frontier.push(visit_item(video_id, url, self._refresh.number) for video_id, url in due)
        self._settled = settled(self._run.ledger)
        self.follow()
        self._settled = set()

    def follow(self) -> None:
        """Take in what any collection node has committed since the last call, this one included."""
        visits, self._seen = self._run.refreshes.visits_since(self._refresh.number, self._seen)
        self._wanted.difference_update(visit.video_id for visit in visits)
        self._push_comments(visits)

    def forget_changed(self) -> None:
        """The refresh stops for its pages have changed: whatever was missed for that is read again next time."""
        number = self._refresh.number
        visits = self._run.refreshes.take_back(number, UNREADABLE)
        self._frontier.forget(visit_item(visit.video_id, visit.url, number) for visit in visits)

    def _record(self, batch: Sequence[Outcome], part: Part | None) -> None:
        pages = [outcome.page for outcome in batch if outcome.page is not None]
        failures = [failure for outcome in batch for failure in outcome.failures]
        self._run.refreshes.commit(self._refresh.number, pages, part, failures)
        self.follow()

    def _push_comments(self, visits: Iterable[PageRow]) -> None:
        """Comments that were collected before are read again; all others are the download nodes' to decide."""
        number = self._refresh.number
        read = [visit for visit in visits if visit.failure is None and visit.refusal is None]
        known = newest_readings(self._run.ledger.comment_lists([visit.video_id for visit in read])) if read else {}
        due = [visit for visit in read if known.get(visit.video_id, number) < number]
        items = (comments_item(visit, self._platform, number) for visit in due)
        self._frontier.push(item for item in items if (item.kind, item.name) not in self._settled)


def refresh(
    run: Run,
    redis_url: str,
    *,
    limit: int | None = None,
    is_forever: bool = False,
    on_tick: Callable[[], None] = lambda: None,
) -> None:
    """Read again what the open refresh still lacks; run again, it goes on where it stopped.

    Raises NotReadyError if no refresh is open, and what `crawler.run.crawl` raises; what was committed before stays.
    """
    opened = run.refreshes.open_one()
    if opened is None:
        raise NotReadyError(
            f"no refresh of {run.run_id!r} is open",
            hint=f"begin one with `microlens-build crawl {run.run_id} --since 7d`",
        )
    platform = platform_of(run.recipe)
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    committer = RefreshCommitter(run, opened, frontier, platform)

    def finish() -> bool:
        # Asked of the ledger once more: another node may have taken visits back.
        is_done = committer.is_finished and not run.refreshes.due(opened)
        if is_done:
            run.refreshes.finish(opened.number)
        return is_done

    fetch_pages(run, committer, frontier, platform, finish=finish, limit=limit, is_forever=is_forever, on_tick=on_tick)


def restore_refresh(run: Run, frontier: Frontier) -> None:
    """Push to the frontier whatever the open refresh, if there is one, still lacks."""
    opened = run.refreshes.open_one()
    if opened is not None:
        platform = platform_of(run.recipe)
        RefreshCommitter(run, opened, frontier, platform).restore()

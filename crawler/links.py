"""Fresh media links: pages of known videos are read again, because the links that they gave have expired."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from crawler.commits import FLUSH_AFTER_S, Committer
from crawler.plan import CrawlPlan
from microlens.backlog import fresh_items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crawler.commits import Outcome
    from microlens.frontier import Frontier
    from microlens.ledger_rows import Part
    from microlens.platforms.base import ParsedVideo, Platform
    from microlens.records import WorkKind
    from microlens.runs import Run


class LinkCommitter(Committer):
    """Commits nothing of a page but its media links; the first visit's facts are not touched.

    It is done once no fresh link is wanted and nobody needs it any more.
    """

    kind: ClassVar[WorkKind] = "links"

    def __init__(self, run: Run, frontier: Frontier, platform: Platform, *, is_needed: Callable[[], bool]) -> None:
        super().__init__(run, CrawlPlan(run.recipe, platform), frontier, platform)
        self._is_needed = is_needed
        self._wanted: set[str] = set()
        """Names of the items that the frontier has."""

    @property
    def is_finished(self) -> bool:
        return not self._is_needed() and not self._run.fresh_links.counts()["pages"]

    @property
    def wanted(self) -> int:
        return len(self._wanted)

    @property
    def needs_captions(self) -> bool:
        return False

    def needs_related(self, video: ParsedVideo) -> bool:  # noqa: ARG002 - the base's signature
        return False

    def restore(self) -> None:
        """Push to the frontier the pages that are wanted, and the files that earlier readings gave a link."""
        self._wanted = set()
        self._frontier.push(fresh_items(self._run))
        self.follow()

    def follow(self) -> None:
        """Take in what the nodes have asked for, and what another collection node has read."""
        wanted = self._run.fresh_links.wanted()
        self._frontier.push(item for item in wanted if item.name not in self._wanted)
        self._wanted = {item.name for item in wanted}

    def is_due(self, *, is_starving: bool) -> bool:
        """A second is the most that a link may wait here: it might expire once more."""
        return super().is_due(is_starving=is_starving or time.monotonic() - self._batch_since > FLUSH_AFTER_S)

    def add(self, outcome: Outcome) -> None:
        super().add(replace(outcome, record=None))

    def forget_changed(self) -> None:
        """Nothing is to be forgotten: what could not be read is read again when the run goes on, or by `retry`."""

    def _record(self, batch: Sequence[Outcome], part: Part | None) -> None:  # noqa: ARG002 - the base's signature
        pages = [outcome.page for outcome in batch if outcome.page is not None]
        failures = [failure for outcome in batch for failure in outcome.failures]
        self._run.fresh_links.commit(pages, failures)
        self._frontier.push(fresh_items(self._run, [page.video_id for page in pages]))
        self.follow()

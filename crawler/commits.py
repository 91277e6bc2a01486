"""Committing what the spider read: part file, ledger, plan, frontier, in that order.

A crash between any two steps loses nothing: an unlisted part is ignored, and the plan, built again from the ledger,
pushes to the frontier whatever it lacks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from microlens.backlog import comments_item, media_items
from microlens.errors import PageChangedError
from microlens.ledger import Home, Mark, PageRow
from microlens.parts import write_part
from microlens.records import FrontierItem
from microlens.tables import CRAWLED_VIDEOS

if TYPE_CHECKING:
    from crawler.plan import CrawlPlan, Step
    from microlens.frontier import Frontier
    from microlens.ledger import Part
    from microlens.platforms.base import Platform
    from microlens.records import VideoRecord, WorkKind
    from microlens.runs import Run

FLUSH_ROWS = 200
FLUSH_AFTER_S = 1.0

_CHANGED_PAGES = 3
_CHANGED_SHARE = 0.1


@dataclass(slots=True)
class Batch:
    """Answers that are read but not yet committed."""

    homes: list[Home] = field(default_factory=list)
    pages: list[PageRow] = field(default_factory=list)
    records: list[VideoRecord] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Of the frontier items to ack."""
    since: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return len(self.names)


class Committer:
    """Owns the plan and the open batch of one collection node."""

    kind: ClassVar[WorkKind] = "page"
    """Of the frontier items whose answers are committed."""

    def __init__(self, run: Run, plan: CrawlPlan, frontier: Frontier, platform: Platform) -> None:
        self.plan = plan
        self._run = run
        self._frontier = frontier
        self._platform = platform
        self._batch = Batch()
        self._closed = Batch()
        self._changed: list[PageChangedError] = []
        self._read = 0
        self._mark = Mark()

    def restore(self) -> None:
        """Build the plan from the ledger and push to the frontier whatever it still wants."""
        self.follow()
        self._apply(self.plan.advance())

    def follow(self) -> None:
        """Take in what any collection node has committed since the last call, this one included."""
        homes, pages, self._mark = self._run.ledger.crawled_since(self._mark)
        for home in homes:
            self.plan.add_home(home)
        for page in pages:
            self.plan.add_page(page)
        if homes or pages:
            self._apply(self.plan.advance())

    @property
    def is_finished(self) -> bool:
        """Nothing more is wanted."""
        return self.plan.is_finished

    def needs_related(self, like_count: int | None) -> bool:
        """Whether a page's related links are worth a request of their own."""
        return self.plan.needs_related(like_count)

    def add_home(self, name: str, home: Home) -> None:
        self._open().homes.append(home)
        self._batch.names.append(name)

    def add_page(self, name: str, page: PageRow, record: VideoRecord | None = None) -> None:
        self._open().pages.append(page)
        self._batch.names.append(name)
        self._read += 1
        if record is not None:
            self._batch.records.append(record)

    def add_changed(self, item: FrontierItem, error: PageChangedError) -> None:
        """A page that its adapter cannot read: few are dropped with that reason, many stop the crawl.

        Where it stops, they are forgotten (`forget_changed`), so that a mended adapter reads them again.
        """
        self.count_changed(error)
        self.add_page(item.name, PageRow(item.payload["video_id"], item.url, failure="page_changed"))

    def count_changed(self, error: PageChangedError) -> None:
        """One more answer, a page's or a list's, that cannot be read; raises PageChangedError where they are many."""
        self._changed.append(error)
        if len(self._changed) > _CHANGED_PAGES and len(self._changed) > _CHANGED_SHARE * (self._read + 1):
            raise PageChangedError(
                f"{len(self._changed)} of the last {self._read + len(self._changed)} pages cannot be read, "
                f"so the crawl was stopped; the last one: {error.message}",
                hint=error.hint + "; then run the same command: nothing that was collected is lost",
            )

    def is_due(self) -> bool:
        """True when the open batch is large or old enough to be committed."""
        return len(self._batch) >= FLUSH_ROWS or (
            len(self._batch) > 0 and time.monotonic() - self._batch.since > FLUSH_AFTER_S
        )

    @property
    def pending(self) -> int:
        return len(self._batch)

    @property
    def held(self) -> list[str]:
        """Names of items that are read and not yet acked: their leases must last until they are."""
        return [*self._batch.names, *self._closed.names]

    def take(self) -> Batch:
        """Close the open batch. Called where answers are added, so that none falls between two batches."""
        self._closed, self._batch = self._batch, Batch()
        return self._closed

    def commit(self, batch: Batch) -> None:
        """Write a closed batch down and push what it makes due; may run in a thread, one batch at a time."""
        if not len(batch):
            return
        part = None
        if batch.records:
            table = pa.Table.from_pylist([record.to_row() for record in batch.records], schema=CRAWLED_VIDEOS)
            part = write_part(self._run.folder, "videos", table)
        self._record(batch, part)
        self.follow()
        self._frontier.ack(self.kind, batch.names)

    def forget_changed(self) -> None:
        """The crawl stops for its pages have changed: whatever was dropped for that is read again next time."""
        pages = self._run.ledger.forget_changed_pages()
        self._frontier.forget(FrontierItem("page", page.video_id, page.url, {}) for page in pages)

    def _record(self, batch: Batch, part: Part | None) -> None:
        self._run.ledger.commit_crawl(homes=batch.homes, pages=batch.pages, part=part)

    def _open(self) -> Batch:
        if not len(self._batch):
            self._batch = Batch()
        return self._batch

    def _apply(self, step: Step) -> None:
        while step.refused or step.selected:
            self._run.ledger.commit_crawl(pages=step.refused, selections=step.selected)
            self._push(step)
            step = self.plan.advance()
        self._push(step)

    def _push(self, step: Step) -> None:
        recipe = self._run.recipe
        self._frontier.push(step.items)
        self._frontier.push(item for page in step.ready for item in media_items(page, recipe.media))
        if recipe.comments.when == "always":
            ready = [page for page in step.ready if page.refusal is None]
            self._frontier.push(comments_item(page, self._platform) for page in ready)

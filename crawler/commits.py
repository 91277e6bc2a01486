"""Committing what the spider read: part file, ledger, plan, frontier, in that order.

A crash between any two steps loses nothing: an unlisted part is ignored, and the plan, built again from the ledger,
pushes to the frontier whatever it lacks.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from crawler.visits import video_table
from microlens.backlog import comments_item, current_item, media_items, settled
from microlens.ledger_rows import Mark
from microlens.outcomes import policy_of
from microlens.parts import write_part
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crawler.plan import CrawlPlan, Step
    from microlens.fresh_links import Given
    from microlens.frontier import Frontier
    from microlens.ledger_rows import Home, PageRow, Part
    from microlens.platforms.base import ParsedVideo, Platform
    from microlens.records import Failure, VideoRecord, WorkKind
    from microlens.runs import Run

FLUSH_ROWS = 500
_AT_ONCE = 2_000
"""Pages in memory at once while a plan is built again."""
FLUSH_AFTER_S = 1.0
"""Answers wait no longer than this where the crawl waits for them."""

_FLUSH_SHARE = 0.02
_FLUSH_AT_LATEST_S = 60.0
"""Else they may wait for a share of the time that the crawl has taken so far: a year's crawl at one page a second
makes parts of sixty rows and not of one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a leased item: one of `home`, `page`, `is_again` and `rest_s`."""

    item: FrontierItem
    home: Home | None = None
    page: PageRow | None = None
    record: VideoRecord | None = None
    failures: tuple[Failure, ...] = ()
    """Attempts that did not succeed; an item can be finished in spite of one."""
    is_again: bool = False
    """It is to be tried once more, later."""
    rest_s: float | None = None
    """It was not to blame: it is given back, for so long at least, with no try counted."""

    @property
    def is_done(self) -> bool:
        return not self.is_again and self.rest_s is None


class Committer:
    """Owns the plan and the open batch of one collection node; used by one thread, but for `held`."""

    kind: ClassVar[WorkKind] = "page"
    """Of the frontier items whose answers are committed."""

    def __init__(self, run: Run, plan: CrawlPlan, frontier: Frontier, platform: Platform) -> None:
        self.plan = plan
        self._run = run
        self._frontier = frontier
        self._platform = platform
        self._name = uuid.uuid4().hex
        self._batch: list[Outcome] = []
        self._homes: list[Outcome] = []
        self._batch_since = self._began = time.monotonic()
        self._mark = Mark()
        self._settled: set[tuple[WorkKind, str]] = set()
        """The nodes' work that is done, while all that was ever committed is taken in."""
        self._depths: dict[str, int] = {}
        """Of videos whose selection the ledger has, while the plan is built."""
        self._given: dict[tuple[str, str], Given] = {}
        """Fresh links of assets whose first had run out, while all that was ever committed is taken in."""

    def restore(self) -> None:
        """Build the plan from the ledger and push to the frontier whatever it still wants."""
        # In the plan's eyes all that was ever found becomes ready now, and this frontier may know nothing of the past.
        self._settled = settled(self._run.ledger)
        self._depths = {row.video_id: row.depth for row in self._run.ledger.selections()}
        self._given = self._run.fresh_links.given()
        self._read_ledger(but_mine=False)
        self._apply(self.plan.advance())
        self._settled, self._depths, self._given = set(), {}, {}

    def follow(self) -> None:
        """Take in what other collection nodes have committed since the last call."""
        if self._read_ledger(but_mine=True):
            self._apply(self.plan.advance())

    @property
    def is_finished(self) -> bool:
        """Nothing more is wanted."""
        return self.plan.is_finished

    @property
    def wanted(self) -> int:
        """Video pages that are asked for and not known."""
        return self.plan.wanted

    def needs_related(self, video: ParsedVideo) -> bool:
        """Whether a page's related links are worth a request of their own."""
        return self.plan.needs_related(video)

    @property
    def needs_captions(self) -> bool:
        """Whether captions are, where the recipe asks for them."""
        return True

    def add(self, outcome: Outcome) -> None:
        if not self._batch:
            self._batch_since = time.monotonic()
        (self._batch if outcome.home is None else self._homes).append(outcome)

    @property
    def pending(self) -> int:
        """How many outcomes are not yet committed."""
        return len(self._batch) + len(self._homes)

    @property
    def held(self) -> list[str]:
        """Names of items that are read and not yet acked: their leases must last until they are."""
        return [outcome.item.name for outcome in (*self._batch, *self._homes)]

    def is_due(self, *, is_starving: bool) -> bool:
        """True when the open batch is large or old enough to be committed."""
        if not self._batch:
            return False
        now = time.monotonic()
        patience_s = min(_FLUSH_SHARE * (now - self._began), _FLUSH_AT_LATEST_S)
        age_s = now - self._batch_since
        return len(self._batch) >= FLUSH_ROWS or age_s > (0.0 if is_starving else max(FLUSH_AFTER_S, patience_s))

    def commit(self) -> None:
        """Write the open batch down and push what it makes due."""
        if self._batch:
            self._commit(self._batch)
            self._batch = []

    def commit_homes(self) -> None:
        """Write refreshes of the home page down at once: they fill no part, and the next refresh waits for them."""
        if self._homes:
            self._commit(self._homes)
            self._homes = []

    def _commit(self, batch: list[Outcome]) -> None:
        records = [outcome.record for outcome in batch if outcome.record is not None]
        part = self._run.keep_part(write_part(self._run.folder, "videos", video_table(records))) if records else None
        self._record(batch, part)
        self._frontier.ack(self.kind, [outcome.item.name for outcome in batch if outcome.is_done])
        for outcome in batch:
            if outcome.is_again:
                policy = policy_of(outcome.failures[-1].reason)
                self._frontier.retry(outcome.item, after_s=policy.delay_s(outcome.item.attempt))
            elif outcome.rest_s is not None:
                self._frontier.give_back(outcome.item, after_s=outcome.rest_s)

    def forget_changed(self) -> None:
        """The crawl stops for its pages have changed: whatever was dropped for that is read again next time."""
        pages = self._run.ledger.forget_changed_pages()
        self._frontier.forget(FrontierItem("page", page.video_id, page.url, {}) for page in pages)

    def _record(self, batch: Sequence[Outcome], part: Part | None) -> None:
        """Write a batch into the ledger, and push what it makes due."""
        homes = [outcome.home for outcome in batch if outcome.home is not None]
        pages = [outcome.page for outcome in batch if outcome.page is not None]
        is_new = self._run.ledger.commit_crawl(
            homes=homes,
            pages=pages,
            failures=[failure for outcome in batch for failure in outcome.failures],
            part=part,
            committer=self._name,
        )
        if is_new:
            self._feed(homes, pages)
        else:  # another node was first with some of it, and what it wrote holds
            self._read_ledger(but_mine=False)
        self._apply(self.plan.advance())

    def _read_ledger(self, *, but_mine: bool) -> bool:
        """Feed the plan what the ledger has got since the last time; tells whether that was anything."""
        is_anything = False
        while True:
            before, but_by = self._mark, self._name if but_mine else None
            homes, pages, self._mark = self._run.ledger.crawled_since(before, but_by=but_by)
            if self._mark == before:
                return is_anything
            self._feed(homes, pages)
            is_anything = is_anything or bool(homes or pages)

    def _feed(self, homes: Iterable[Home], pages: Iterable[PageRow]) -> None:
        for home in homes:
            self.plan.add_home(home)
        for page in pages:
            self.plan.add_page(page)

    def _apply(self, step: Step) -> None:
        while step.refused or step.selected or step.recalled:
            # Writing all of them again would keep every other process from the ledger for seconds.
            chosen = [row for row in step.selected if row.depth < self._depths.get(row.video_id, row.depth + 1)]
            if step.refused or chosen:
                self._run.ledger.commit_crawl(pages=step.refused, selections=chosen, committer=self._name)
            self._push(step)
            for start in range(0, len(step.recalled), _AT_ONCE):
                self._feed((), self._run.ledger.pages(step.recalled[start : start + _AT_ONCE]))
                self._push_ready(self.plan.take_ready())
            step = self.plan.advance()
        self._push(step)

    def _push(self, step: Step) -> None:
        self._frontier.push(step.items)
        self._push_ready(step.ready)

    def _push_ready(self, pages: Sequence[PageRow]) -> None:
        recipe = self._run.recipe
        ready = [item for page in pages for item in media_items(page, recipe.media)]
        if recipe.comments.when == "always":
            ready += [comments_item(page, self._platform) for page in pages if page.refusal is None]
        due = [item for item in ready if (item.kind, item.name) not in self._settled]
        self._frontier.push(filter(None, map(self._as_of_now, due)))

    def _as_of_now(self, item: FrontierItem) -> FrontierItem | None:
        if item.kind != "media":
            return item
        given = self._given.get((item.payload["video_id"], item.payload["asset"]))
        return current_item(item, given, self._run.recipe.media)

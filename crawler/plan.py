"""What a crawl still needs, as a pure function of what was committed: seeds from the home page, then related videos.

Nothing here depends on the order in which answers arrive, so a crawl that was killed and started again ends in the
same place. One round is one refresh of every instance's home page. Its unseen videos are candidates; seeds are taken
from the candidates in their order, each once its page is known, until the target is reached. The next round is asked
for while even a seed from every candidate before it would not reach the target: so it is needed for certain.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from filtering.seeds import check_seed
from microlens.ledger_rows import Home, PageRow, Selected
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filtering.seeds import SeedFacts
    from microlens.platforms.base import Platform, VideoLink
    from microlens.recipe import Recipe

_UNKNOWN_CANDIDATES = 512
"""With so many pages still to be read, the next refresh can wait."""


def draw_related(run_seed: int, video_id: str, links: Iterable[VideoLink], count: int) -> tuple[VideoLink, ...]:
    """The links to follow from a page: the `count` smallest by sha256(run seed, page, link).

    The paper draws 10 at random (section 2.1); by hash the draw depends on neither order nor time.
    """

    def position(link: VideoLink) -> bytes:
        return hashlib.sha256(f"{run_seed}\n{video_id}\n{link.video_id}".encode()).digest()

    distinct = {link.video_id: link for link in links if link.video_id != video_id}
    return tuple(sorted(distinct.values(), key=position)[:count])


class _Known(Enum):
    """What the plan keeps of a page."""

    FAILED = auto()
    READ = auto()
    SEED = auto()
    """Read, and a seed if the home page shows it and the target is not reached."""


@dataclass(slots=True)
class Step:
    """What has become known or needed since the last call of `advance`."""

    items: list[FrontierItem] = field(default_factory=list)
    """Pages to fetch."""
    selected: list[Selected] = field(default_factory=list)
    refused: list[PageRow] = field(default_factory=list)
    """Videos that a list shows and whose owner does not want them taken: known without a visit."""
    ready: list[PageRow] = field(default_factory=list)
    """Pages of selected videos: their media can be fetched."""
    recalled: list[str] = field(default_factory=list)
    """Videos whose pages are known and must be added once more: they were selected later, or have come nearer."""


class CrawlPlan:
    """Feed it commits with `add_home` and `add_page`, then ask `advance` what to do.

    Of millions of pages it keeps little: whether a page could be read and could be a seed, and of a selected video how
    far it is from a seed. A page itself is looked at once, when it is added; where one is selected only later, or
    comes nearer to a seed, it is asked back for (`Step.recalled`) and added again.
    """

    def __init__(self, recipe: Recipe, platform: Platform) -> None:
        self._recipe = recipe
        self._platform = platform
        self._homes: dict[tuple[int, str], Home] = {}
        self._pages: dict[str, _Known] = {}
        self._wanted: set[str] = set()
        self._recalled: set[str] = set()
        self._round = 0
        """The next to be opened, that is, to have its links become candidates."""
        self._asked_round = -1
        self._stale = 0
        self._seen_at_home: set[str] = set()
        self._candidates: deque[str] = deque()
        """In order, from the first whose page is not known."""
        self._unknown: set[str] = set()
        """Candidates whose pages are not known."""
        self._held: dict[str, PageRow] = {}
        """Pages of candidates that are known and not yet chosen or passed over."""
        self._seed_count = 0
        self._is_home_done = False
        self._depths: dict[str, int] = {}
        """Of the selected videos."""
        self._handed_over: set[str] = set()
        self._step = Step()

    @property
    def is_finished(self) -> bool:
        return self._seeds_done and not self._wanted and not self._recalled

    @property
    def wanted(self) -> int:
        """Video pages that are asked for and not known."""
        return len(self._wanted)

    @property
    def _seeds_done(self) -> bool:
        return self._seed_count >= self._recipe.seeds.target or (self._is_home_done and not self._candidates)

    def add_home(self, home: Home) -> None:
        if home.refresh >= self._round:
            self._homes[home.refresh, home.instance] = home

    def add_page(self, page: PageRow) -> None:
        name = page.video_id
        if name in self._pages and name not in self._recalled:
            return
        self._pages[name] = self._known(page)
        self._wanted.discard(name)
        self._recalled.discard(name)
        if name in self._unknown:
            self._unknown.discard(name)
            self._held[name] = page
        if name in self._depths:
            self._follow(page)

    def _known(self, page: PageRow) -> _Known:
        if page.failure is not None:
            return _Known.FAILED
        is_seed = page.refusal is None and check_seed(page, self._recipe.seeds) is None
        return _Known.SEED if is_seed else _Known.READ

    def needs_related(self, video: SeedFacts) -> bool:
        """Whether a page's related links may be followed, and so are worth a request of their own."""
        depth = self._recipe.expansion.depth
        return depth > 1 or (depth == 1 and check_seed(video, self._recipe.seeds) is None)

    def advance(self) -> Step:
        """Go as far as the committed pages allow."""
        self._choose_seeds()
        while self._may_refresh() and self._open_round():
            self._choose_seeds()
        step, self._step = self._step, Step()
        # While the plan is built again, much of what was asked for turns out to be known.
        step.items = [item for item in step.items if item.payload["page"] == "home" or item.name in self._wanted]
        return step

    def take_ready(self) -> list[PageRow]:
        """Hand over the pages that became ready since the last call, before `advance` does."""
        ready, self._step.ready = self._step.ready, []
        return ready

    def _choose_seeds(self) -> None:
        while self._candidates and self._candidates[0] in self._pages:
            name = self._candidates.popleft()
            if self._seed_count < self._recipe.seeds.target and self._pages[name] is _Known.SEED:
                self._seed_count += 1
                self._select(Selected(name, "seed", None, 0))
            self._held.pop(name, None)

    def _may_refresh(self) -> bool:
        return (
            not self._is_home_done
            and self._seed_count + len(self._candidates) < self._recipe.seeds.target
            and len(self._unknown) < _UNKNOWN_CANDIDATES
        )

    def _open_round(self) -> bool:
        """Make candidates of the next round's unseen videos; if its home pages are not known, ask for them: False."""
        instances = [name for name in self._recipe.instances if not self._is_exhausted(name)]
        missing = [name for name in instances if (self._round, name) not in self._homes]
        if missing:
            if self._asked_round < self._round:
                self._asked_round = self._round
                self._step.items += [self._home_item(name) for name in missing]
            return False
        count = len(self._seen_at_home)
        for link in (link for name in instances for link in self._homes[self._round, name].links):
            self._add_candidate(link)
        self._stale = 0 if len(self._seen_at_home) > count else self._stale + 1
        self._is_home_done = self._stale >= self._recipe.seeds.max_stale_refreshes or not instances
        for name in self._recipe.instances:
            self._homes.pop((self._round - 1, name), None)
        self._round += 1
        return True

    def _is_exhausted(self, instance: str) -> bool:
        before = self._homes.get((self._round - 1, instance))
        return self._round > 0 and (before is None or before.is_last)

    def _add_candidate(self, link: VideoLink) -> None:
        if link.video_id in self._seen_at_home:
            return
        self._seen_at_home.add(link.video_id)
        self._candidates.append(link.video_id)
        self._want(link)
        if link.video_id not in self._pages:
            self._unknown.add(link.video_id)

    def _select(self, selected: Selected) -> None:
        name = selected.video_id
        if self._depths.get(name, selected.depth + 1) <= selected.depth:
            return
        self._depths[name] = selected.depth
        self._step.selected.append(selected)
        if name in self._held:
            self._follow(self._held[name])
        elif self._is_read(name) and (name not in self._handed_over or self._leads_on(name)):
            self._recalled.add(name)
            self._step.recalled.append(name)

    def _is_read(self, name: str) -> bool:
        return self._pages.get(name, _Known.FAILED) is not _Known.FAILED

    def _leads_on(self, name: str) -> bool:
        return self._depths[name] < self._recipe.expansion.depth

    def _follow(self, page: PageRow) -> None:
        """A selected video's page is known: hand its media over, and follow its links."""
        if page.failure is not None:
            return
        if page.video_id not in self._handed_over:
            self._handed_over.add(page.video_id)
            self._step.ready.append(page)
        if not self._leads_on(page.video_id):
            return
        for link in page.related:
            self._select(Selected(link.video_id, "related", page.video_id, self._depths[page.video_id] + 1))
            self._want(link)

    def _want(self, link: VideoLink) -> None:
        if link.video_id in self._pages or link.video_id in self._wanted:
            return
        if link.refusal is not None:
            refused = PageRow(link.video_id, link.url, failure=link.refusal)
            self._pages[link.video_id] = _Known.FAILED
            self._step.refused.append(refused)
            return
        self._wanted.add(link.video_id)
        self._step.items.append(
            FrontierItem("page", link.video_id, link.url, {"page": "video", "video_id": link.video_id})
        )

    def _home_item(self, instance: str) -> FrontierItem:
        return FrontierItem(
            kind="page",
            name=f"home {self._round} {instance}",
            url=self._platform.home_url(instance, self._round),
            payload={"page": "home", "instance": instance, "refresh": self._round},
            priority=-1,
        )

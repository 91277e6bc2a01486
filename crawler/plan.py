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
from typing import TYPE_CHECKING

from filtering.seeds import check_seed
from microlens.ledger import Home, PageRow, Selected
from microlens.records import FrontierItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from filtering.seeds import SeedFacts
    from microlens.platforms.base import Platform, VideoLink
    from microlens.recipe import Recipe

_UNKNOWN_CANDIDATES = 256
"""With so many pages still to be read, the next refresh can wait."""


def draw_related(run_seed: int, video_id: str, links: Iterable[VideoLink], count: int) -> tuple[VideoLink, ...]:
    """The links to follow from a page: the `count` smallest by sha256(run seed, page, link).

    The paper draws 10 at random (section 2.1); by hash the draw depends on neither order nor time.
    """

    def position(link: VideoLink) -> bytes:
        return hashlib.sha256(f"{run_seed}\n{video_id}\n{link.video_id}".encode()).digest()

    distinct = {link.video_id: link for link in links if link.video_id != video_id}
    return tuple(sorted(distinct.values(), key=position)[:count])


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


class CrawlPlan:
    """Feed it commits with `add_home` and `add_page`, then ask `advance` what to do."""

    def __init__(self, recipe: Recipe, platform: Platform) -> None:
        self._recipe = recipe
        self._platform = platform
        self._homes: dict[tuple[int, str], Home] = {}
        self._pages: dict[str, PageRow] = {}
        self._wanted: set[str] = set()
        self._round = 0
        """The next to be opened, that is, to have its links become candidates."""
        self._asked_round = -1
        self._stale = 0
        self._seen_at_home: set[str] = set()
        self._candidates: deque[str] = deque()
        """In order, from the first whose page is not known."""
        self._unknown: set[str] = set()
        """Candidates whose pages are not known."""
        self._seed_count = 0
        self._is_home_done = False
        self._selected: dict[str, Selected] = {}
        self._handed_over: set[str] = set()
        self._step = Step()

    @property
    def is_finished(self) -> bool:
        return self._seeds_done and not self._wanted

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
        if page.video_id in self._pages:
            return
        self._pages[page.video_id] = page
        self._wanted.discard(page.video_id)
        self._unknown.discard(page.video_id)
        if page.video_id in self._selected:
            self._follow(self._selected[page.video_id], page)

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
        return step

    def _choose_seeds(self) -> None:
        while self._candidates and self._candidates[0] in self._pages:
            page = self._pages[self._candidates.popleft()]
            if self._seed_count < self._recipe.seeds.target and self._is_seed(page):
                self._seed_count += 1
                self._select(Selected(page.video_id, "seed", None, 0))

    def _is_seed(self, page: PageRow) -> bool:
        return page.failure is None and page.refusal is None and check_seed(page, self._recipe.seeds) is None

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
        known = self._selected.get(selected.video_id)
        if known is not None and known.depth <= selected.depth:
            return
        self._selected[selected.video_id] = selected
        self._step.selected.append(selected)
        if selected.video_id in self._pages:
            self._follow(selected, self._pages[selected.video_id])

    def _follow(self, selected: Selected, page: PageRow) -> None:
        """A selected video's page is known: hand its media over, and follow its links."""
        if page.failure is not None:
            return
        if page.video_id not in self._handed_over:
            self._handed_over.add(page.video_id)
            self._step.ready.append(page)
        if selected.depth >= self._recipe.expansion.depth:
            return
        for link in page.related:
            self._select(Selected(link.video_id, "related", page.video_id, selected.depth + 1))
            self._want(link)

    def _want(self, link: VideoLink) -> None:
        if link.video_id in self._pages or link.video_id in self._wanted:
            return
        if link.refusal is not None:
            refused = PageRow(link.video_id, link.url, failure=link.refusal)
            self._pages[link.video_id] = refused
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

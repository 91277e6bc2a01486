"""What a right pipeline finds, drops and publishes, worked out from the world and never from the pipeline."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox import flaws
from sandbox.links import Links

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from sandbox.world import World

KEPT = "kept"
NO_COVER = "cover_missing"
"""What a video without media is dropped for, unless its title is too short: the first thing missed is its cover."""
_COVER_PATH = re.compile(r"/media/([^/]+)/cover\.jpg")


@dataclass(frozen=True)
class Collected:
    """What a crawl of the frozen site finds; only seeds and related videos are collected."""

    seeds: list[str]
    related: set[str]
    unpopular: set[str]
    """Visited from the home page and left there: no seeds by the rule, or the target was reached before them."""

    gone: set[str]

    @property
    def ids(self) -> set[str]:
        return {*self.seeds, *self.related}


@dataclass(frozen=True)
class SeedRule:
    """Which videos of the home page are taken; no words take all."""

    min_likes: int = flaws.POPULAR_LIKES
    min_interactions: int = -1
    categories: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()

    def takes(self, world: World, video: int) -> bool:
        return (
            world.videos.likes[video] > self.min_likes
            and len(world.comments.of_video(video)) > self.min_interactions
            and (not self.categories or world.videos.category(video) in self.categories)
            and (not self.languages or world.videos.languages[video] in self.languages)
        )


@dataclass(frozen=True)
class Expected:
    """What a release of some collected videos must hold."""

    kept: set[str]
    dropped: dict[str, str]
    interactions: set[tuple[str, str, int]]
    """(raw user id, video id, time in ms): each user's first comment on each kept video."""

    users: set[str]
    observed: set[str]
    """Kept videos with at least one interaction."""


def fates(world: World) -> dict[str, str]:
    """Give every video's fate, "kept" or the reason it is dropped for, if all videos are collected."""
    return _fates_of(world, range(len(world.videos.ids)))


def _fates_of(world: World, collected: Iterable[int]) -> dict[str, str]:
    """Drop flawed videos; of those that show one clip the most liked survives, then the smallest id.

    So it is with those that show the same scenes, unless encodings are borrowed: there all clips look like some others,
    and only a recipe that compares bytes alone can keep any.
    """
    ids, likes, dealt = world.videos.ids, world.videos.likes, world.videos.flaws
    fate: dict[str, str] = {}
    clips: set[int] = set()
    scenes: set[int] = set()
    for video in sorted(collected, key=lambda video: (-likes[video], ids[video])):
        kind, clip = dealt.kind[video], int(dealt.source[video])
        if not world.has_media[video] and kind not in (flaws.TITLE, *flaws.WAYS_TO_LEAVE):
            fate[ids[video]] = NO_COVER
        elif kind not in ("", flaws.DUPLICATE, flaws.NEAR):
            fate[ids[video]] = kind
        elif clip in clips:
            fate[ids[video]] = flaws.DUPLICATE
        else:
            clips.add(clip)
            shown = int(dealt.scenes[video]) if world.config.media_variety is None else clip
            fate[ids[video]] = flaws.NEAR if shown in scenes else KEPT
            scenes.add(shown)
    return fate


def collect_frozen(
    world: World,
    *,
    run_seed: int,
    target: int,
    rule: SeedRule = SeedRule(),
    related_per_page: int = 10,
    depth: int = 1,
    stale_refreshes: int = 5,
) -> Collected:
    """Crawl the frozen site in the head: the home pages until `target` seeds, then related videos of related ones."""
    crawl = _Crawl(world, run_seed, related_per_page)
    seeds = crawl.find_seeds(target, rule, stale_refreshes)
    related = crawl.find_related(seeds, depth)
    names = world.videos.ids
    return Collected(
        seeds=[names[video] for video in seeds],
        related={names[video] for video in related},
        unpopular={names[video] for video in crawl.visited - set(seeds) - related},
        gone={names[video] for video in crawl.gone},
    )


class _Crawl:
    """One walk over the frozen site's links."""

    def __init__(self, world: World, run_seed: int, related_per_page: int) -> None:
        self._world = world
        self._videos = world.videos
        self._hosts = range(world.config.hosts)
        self._links = Links(world)
        self._run_seed = run_seed
        self._related_per_page = related_per_page
        self.visited: set[int] = set()
        self.gone: set[int] = set()

    def find_seeds(self, target: int, rule: SeedRule, stale_refreshes: int) -> list[int]:
        """Refresh the home page until there are enough seeds or nothing new comes any more."""
        taken: list[int] = []
        refresh = stale = 0
        while len(taken) < target and stale < stale_refreshes:
            shown = (video for host in self._hosts for video in self._links.home(refresh, host))
            known = self.visited | self.gone
            fresh = [video for video in shown if video not in known]
            live = [video for video in fresh if not self._is_gone(video)]
            taken += [video for video in live if rule.takes(self._world, video)]
            self.visited.update(live)
            stale = 0 if fresh else stale + 1
            refresh += 1
        return taken[:target]

    def find_related(self, seeds: list[int], depth: int) -> set[int]:
        """Follow each page's chosen links, level by level."""
        found: set[int] = set()
        level = seeds
        for _ in range(depth):
            chosen = {link for video in level for link in self._choose(video)}
            level = [video for video in chosen - found - set(seeds) if not self._is_gone(video)]
            found.update(level)
        return found

    def _choose(self, video: int) -> list[int]:
        def lot(link: int) -> str:
            names = f"{self._run_seed}\n{self._videos.ids[video]}\n{self._videos.ids[link]}"
            return hashlib.sha256(names.encode()).hexdigest()

        return sorted(self._links.related(video), key=lot)[: self._related_per_page]

    def _is_gone(self, video: int) -> bool:
        """Find out, and remember, whether a page is no longer there."""
        if self._videos.flaws.kind[video] == flaws.DELETED:
            self.gone.add(video)
        return video in self.gone


def expected_release(
    world: World,
    collected_ids: AbstractSet[str],
    *,
    max_comments: int = 5000,
    min_user: int = 5,
    merges_twins: bool = False,
) -> Expected:
    """Work out the release of a collection: fates, first comments, and users with enough of them.

    With `merges_twins`, what was said on a copy was said on the video that is kept.
    """
    fate = _fates_of(world, sorted(world.index[video_id] for video_id in collected_ids))
    kept = {video_id for video_id, reason in fate.items() if reason == KEPT}
    copies = _copies(world, fate) if merges_twins else {}
    first = _first_comments(world, kept, max_comments, copies)
    counts = Counter(user for user, _ in first)
    rows = {(world.user_ids[u], world.videos.ids[v], t) for (u, v), t in first.items() if counts[u] >= min_user}
    return Expected(
        kept=kept,
        dropped={video_id: reason for video_id, reason in fate.items() if reason != KEPT},
        interactions=rows,
        users={user for user, _, _ in rows},
        observed={video_id for _, video_id, _ in rows},
    )


def _copies(world: World, fate: Mapping[str, str]) -> dict[str, list[int]]:
    """By kept video the dropped ones that show the same scenes."""
    scenes = world.videos.flaws.scenes
    kept = {int(scenes[world.index[video_id]]): video_id for video_id, reason in fate.items() if reason == KEPT}
    copies: dict[str, list[int]] = defaultdict(list)
    for video_id, reason in fate.items():
        if reason in {flaws.DUPLICATE, flaws.NEAR}:
            video = world.index[video_id]
            copies[kept[int(scenes[video])]].append(video)
    return copies


def _first_comments(
    world: World, kept: AbstractSet[str], max_comments: int, copies: Mapping[str, list[int]]
) -> dict[tuple[int, int], int]:
    """Give (user, video) -> time of the earliest comment that is among the newest `max_comments` on its copies."""
    first: dict[tuple[int, int], int] = {}
    for video_id in sorted(kept):
        video = world.index[video_id]
        said: list[tuple[int, int]] = []
        for page in (video, *copies.get(video_id, ())):
            numbers = world.comments.of_video(page)
            seen = numbers[max(0, len(numbers) - max_comments) :]
            said += zip(world.comments.created_ms[seen].tolist(), world.comments.user[seen].tolist(), strict=True)
        for created_ms, user in sorted(said, key=lambda one: one[0])[-max_comments:]:
            first.setdefault((user, video), created_ms)
    return first


def collected_from_log(requests: Mapping[str, int]) -> set[str]:
    """Give the videos whose cover was asked for, by the site's own log."""
    matches = map(_COVER_PATH.fullmatch, requests)
    return {match[1] for match in matches if match}

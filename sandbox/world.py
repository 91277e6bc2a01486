"""The whole site as data, made from a seed: videos, users, tastes, comments, and what a perfect oracle knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from microlens.errors import RecipeError
from sandbox import days, flaws, sessions, text
from sandbox.comments import WINDOW_MS, Comments, make_comments
from sandbox.topics import TOPICS
from sandbox.videos import Videos, make_videos, random_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sandbox.flaws import Lenders

WORLD_END_MS = 1_750_000_000_000
"""No comment of day 0 is later: 2025-06-15, whatever the clock on the wall says."""

FEWEST_VIDEOS, FEWEST_USERS = 30, 10
MOST_HOSTS = 16
_ALPHANUMERIC = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789", np.uint8)
_GENDERS = (None, None, "female", "male")


@dataclass(frozen=True)
class WorldConfig:
    """What decides a world; two worlds of one config are the same."""

    videos: int = 300
    users: int = 4000
    """Users with at least five videos; 15% more have fewer."""

    seed: int = 7
    shuffle_tastes: bool = False
    """Deal the comments over the users at random: popularity and lengths stay, everything to learn goes."""
    hosts: int = 1
    """Addresses that the site is served on, from 127.0.0.1 on; each video lives on one of them."""
    with_media: int | None = None
    """So many videos carry media, copies together with their originals; None: all."""
    media_variety: int | None = None
    """So many encodings of each sort, borrowed by all others, so that making them is cheap; None: each its own."""
    day: int = 0
    """How many days have passed since the world was made (sandbox.days)."""
    hls: float = 0.0
    """Share of the videos whose clip is served in pieces (HLS) alone; none whose size matters to the byte."""

    def __post_init__(self) -> None:
        if self.videos < FEWEST_VIDEOS or self.users < FEWEST_USERS or self.seed < 0 or self.day < 0:
            raise RecipeError(
                f"a sandbox cannot have videos={self.videos}, users={self.users}, seed={self.seed}, day={self.day}",
                hint=f"ask for at least {FEWEST_VIDEOS} videos, {FEWEST_USERS} users, a seed and a day of 0 or more",
            )
        is_few = (self.with_media is not None and self.with_media < 0) or (
            self.media_variety is not None and self.media_variety < 1
        )
        if not 0 <= self.hls <= 1:
            raise RecipeError(f"a sandbox cannot have hls={self.hls}", hint="ask for a share of 0 to 1")
        if is_few or not 1 <= self.hosts <= MOST_HOSTS:
            raise RecipeError(
                f"a sandbox cannot have hosts={self.hosts}, with_media={self.with_media}, "
                f"media_variety={self.media_variety}",
                hint=f"ask for 1 to {MOST_HOSTS} hosts, 0 or more videos with media, and at least 1 encoding",
            )


@dataclass(frozen=True)
class World:
    """Everything the site shows, and the tastes that it hides."""

    config: WorldConfig
    videos: Videos
    comments: Comments
    user_ids: list[str]
    genders: list[str | None]
    tastes: NDArray[np.float64]
    host: NDArray[np.int64]
    """By video: which of the site's addresses it lives on, from 0."""
    has_media: NDArray[np.bool_]
    """By video: whether its page names a cover, a sound and a clip."""

    @cached_property
    def index(self) -> dict[str, int]:
        """From a video's id to its place in every array."""
        return {video_id: place for place, video_id in enumerate(self.videos.ids)}

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """The site's hosts, in their order."""
        return tuple(f"127.0.0.{number}" for number in range(1, self.config.hosts + 1))

    @cached_property
    def is_in_pieces(self) -> NDArray[np.bool_]:
        """By video: whether its clip is served in pieces alone; copies are as their originals."""
        dealt = self.videos.flaws
        lots = np.random.default_rng([self.config.seed, 5]).random(len(self.videos.ids))[dealt.source]
        is_exact = (dealt.exact_bytes[dealt.source] > 0) | np.array(
            [dealt.kind[v] == flaws.SMALL for v in dealt.source]
        )
        return np.asarray((lots < self.config.hls) & ~is_exact)

    @cached_property
    def lenders(self) -> Lenders:
        """Whose encoding each video shows."""
        return self.videos.flaws.lenders(self.config.media_variety)

    def comment_text(self, comment: int) -> str:
        topic = TOPICS[self.videos.topic[self.comments.video[comment]]]
        return text.make_comment(topic, int(self.comments.code[comment]))

    def user_name(self, user: int) -> str:
        topic = TOPICS[user % len(TOPICS)]
        return f"{topic.chinese[user % 6] if user % 2 else topic.english[user % 6]}_{user}"

    def oracle_scores(self, users: NDArray[np.int64], history: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the true chance that each video is the next one; what was seen has none.

        `history` (B, T) holds each user's videos, oldest first, the last one in the last column, -1 where there is
        none; the answer is (B, videos). Exact but for users who have used up a topic.
        """
        videos = self.videos
        topic_chance = self.tastes[users].copy()
        known = history[:, -1] >= 0
        topic_chance[known] *= 1 - sessions.STAY
        topic_chance[known, videos.topic[history[known, -1]]] += sessions.STAY
        free = np.broadcast_to(videos.appeal, (len(users), len(videos.ids))).copy()
        rows, columns = np.nonzero(history >= 0)
        free[rows, history[rows, columns]] = 0.0
        of_topic = np.eye(videos.topic_count)[videos.topic]
        topic_weight = free @ of_topic
        within = free / np.maximum(topic_weight, 1e-12)[:, videos.topic]
        explored = free / free.sum(axis=1, keepdims=True)
        chance = sessions.EXPLORE * explored + (1 - sessions.EXPLORE) * topic_chance[:, videos.topic] * within
        return np.asarray(chance)


def generate(config: WorldConfig) -> World:
    """Make the world of a config; videos do not depend on the number of users."""
    videos_rng, users_rng, choices_rng, comments_rng = (np.random.default_rng([config.seed, part]) for part in range(4))
    videos = make_videos(videos_rng, config.videos, WORLD_END_MS - WINDOW_MS)
    lengths = sessions.session_lengths(users_rng, config.users, config.videos)
    tastes = sessions.draw_tastes(users_rng, len(lengths), videos.topic_count)
    choices = sessions.draw_choices(choices_rng, videos, tastes, lengths)
    world = World(
        config=config,
        videos=videos,
        comments=make_comments(comments_rng, choices, config.videos, WORLD_END_MS, is_shuffled=config.shuffle_tastes),
        user_ids=random_names(users_rng, len(lengths), 16, _ALPHANUMERIC),
        genders=[_GENDERS[code] for code in users_rng.integers(0, len(_GENDERS), len(lengths)).tolist()],
        tastes=tastes,
        # Ids are random names, so their order deals the videos evenly and at random.
        host=np.argsort(np.argsort(videos.ids)) % config.hosts,
        has_media=_media_carriers(np.random.default_rng([config.seed, 4]), config, videos),
    )
    return days.after(world, config.day, WORLD_END_MS)


def _media_carriers(rng: np.random.Generator, config: WorldConfig, videos: Videos) -> NDArray[np.bool_]:
    """Draw the videos that carry media; those that show the same scenes are drawn together."""
    carries = np.zeros(config.videos, np.bool_)
    order = np.argsort(rng.random(config.videos)[videos.flaws.scenes], kind="stable")
    carries[order[: config.with_media]] = True
    return carries

"""What a crawl will ask of a site and of our machines, before it begins: plain arithmetic on the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microlens.recipe import Recipe

LINKS_PER_REFRESH = 20
"""New links that one refresh of a home page brings, as a mean."""
SEED_SHARE = 0.5
"""Share of a home page's videos that are seeds; `categories` and `languages` make it smaller."""
NEW_SHARE = 1.0
"""Share of the drawn related links that lead to videos not known yet: at worst all."""
KEPT_SHARE = 0.8
"""Share of the videos that pass the filters, and whose comments are asked for."""
COMMENTS_PER_VIDEO = 880
"""The paper's mean: 1,006,528,709 interactions of 1,142,528 videos."""
LIKES_PER_COMMENT = 100
"""The paper's ratio: its seeds' more than 10,000 likes mean interactions of more than 100 (section 2.1)."""
COMMENTS_PER_PAGE = 100
FILE_BYTES = {"cover": 60_000, "audio": 1_200_000, "video": 8_000_000}
"""Means of micro-videos of a few minutes at 480 pixels' height."""
REDIS_BYTES_PER_KNOWN = 25
REDIS_BYTES_PER_WAITING = 300
"""A frontier item in its host's sorted set; 265 were measured for an asset of 100,000 on 50 hosts."""

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected size of a crawl; the assumptions are the module's constants."""

    videos: int
    page_requests: int
    media_requests: int
    comment_requests: int
    comments: int
    seed_comments: int
    """A seed has more than these: the recipe's `min_interactions`, or what its `min_likes` mean already."""
    media_bytes: int
    redis_bytes: int
    days: float
    """At the recipe's rates, with every instance a host of its own and nothing ever waiting."""


def estimate(recipe: Recipe) -> Estimate:
    """Count what the recipe asks for if the site has that much."""
    seeds = recipe.seeds.target
    home_pages = round(seeds / SEED_SHARE)
    related, border = 0, seeds
    for _ in range(recipe.expansion.depth):
        border = round(border * recipe.expansion.related_per_page * NEW_SHARE)
        related += border
    videos = seeds + related
    kinds = ("cover", "audio", "video") if recipe.media.audio else ("cover", "video")
    asked = videos if recipe.comments.when == "always" else round(videos * KEPT_SHARE)
    seed_comments = max(recipe.seeds.min_interactions, recipe.seeds.min_likes // LIKES_PER_COMMENT, 0)
    comments_each = min(max(COMMENTS_PER_VIDEO, seed_comments), recipe.comments.max_per_video)
    pages = (home_pages + related) * (2 if recipe.media.captions else 1) + round(home_pages / LINKS_PER_REFRESH)
    media, comment_pages = videos * len(kinds), asked * -(-comments_each // COMMENTS_PER_PAGE)
    requests = pages + media + comment_pages
    media_bytes = videos * sum(FILE_BYTES[kind] for kind in kinds)
    polite, hosts = recipe.politeness, len(recipe.instances)
    read_s = media_bytes / (polite.bytes_per_second * hosts) if polite.bytes_per_second else 0.0
    return Estimate(
        videos=videos,
        page_requests=pages,
        media_requests=media,
        comment_requests=comment_pages,
        comments=asked * comments_each,
        seed_comments=seed_comments,
        media_bytes=media_bytes,
        redis_bytes=requests * REDIS_BYTES_PER_KNOWN + media * REDIS_BYTES_PER_WAITING,
        days=max(requests / (polite.requests_per_second * hosts), read_s) / _DAY_S,
    )

"""What a node may ask before a video's comments are collected; it needs none of what `filtering.verdict` needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filtering.cover import check_cover
from filtering.title import check_title

if TYPE_CHECKING:
    from microlens.recipe import Filters, Hashtags


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The paper's; a value equal to its threshold is kept."""

    min_title_characters: int = 3
    """Graphemes, counted as `filtering.title.meaningful_length` says."""
    max_cover_share: float = 0.75
    """Share of the cover that has its commonest colour, 0 to 1."""
    min_video_bytes: int = 100_000
    near_duplicate_bits: int = 15
    """Differing bits of 256 up to which two pictures are alike; 0: only equal bytes make a duplicate."""
    hashtags: Hashtags = "counted"
    """Whether the words of a title's hashtags are counted with it, or meaningless."""

    @classmethod
    def of(cls, filters: Filters) -> Thresholds:
        """Those of a recipe: for the node's early check and for the verdict alike."""
        return cls(
            filters.min_title_characters,
            filters.max_cover_share,
            filters.min_video_bytes,
            filters.near_duplicate_bits,
            filters.hashtags,
        )


def passes_early(
    title: str | None,
    cover_share: float | None,
    cover_is_decodable: bool | None,
    video_bytes: int | None,
    thresholds: Thresholds,
) -> bool:
    """Tell whether a video's comments are worth asking for; every video that `decide` keeps passes."""
    return (
        video_bytes is not None
        and video_bytes >= thresholds.min_video_bytes
        and check_title(title, min_characters=thresholds.min_title_characters, hashtags=thresholds.hashtags) is None
        and check_cover(
            is_offered=True,
            failure=None,
            is_decodable=cover_is_decodable,
            share=cover_share,
            max_share=thresholds.max_cover_share,
        )
        is None
    )

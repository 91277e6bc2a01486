"""Which videos of the home page can be seeds (paper, section 2.1): liked, talked about, of the kinds asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from filtering.drop import Drop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.recipe import Seeds


class SeedFacts(Protocol):
    """What a video's own page says; None where it does not."""

    @property
    def like_count(self) -> int | None: ...
    @property
    def comment_count(self) -> int | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def language(self) -> str | None: ...


def check_seed(video: SeedFacts, seeds: Seeds) -> Drop | None:
    """Say why a video is no seed; what its page does not tell, a minimum or a list does not let through."""
    likes, comments = video.like_count, video.comment_count
    if (likes or 0) <= seeds.min_likes:
        return Drop("unpopular", "popularity", likes, seeds.min_likes)
    if (comments or 0) <= seeds.min_interactions:
        return Drop("too_few_interactions", "popularity", comments, seeds.min_interactions)
    if seeds.categories and not _is_one_of(video.category, seeds.categories):
        return Drop("other_category", "category", detail=video.category)
    if seeds.languages and not _is_in_range(video.language, seeds.languages):
        return Drop("other_language", "language", detail=video.language)
    return None


def _is_one_of(category: str | None, wanted: Iterable[str]) -> bool:
    return category is not None and category.casefold() in {name.casefold() for name in wanted}


def _is_in_range(language: str | None, wanted: Iterable[str]) -> bool:
    """Basic filtering of RFC 4647, section 3.3.1: `zh` takes `zh-Hans` as well, `zh-Hans` does not take `zh`."""
    tag = (language or "").casefold()
    return any(tag == name or tag.startswith(f"{name}-") for name in map(str.casefold, wanted))

"""What yt-dlp gives of one page, field by field, for the one who writes a recipe."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from microlens.errors import RecipeError
from microlens.platforms.base import UnavailableError, VideoLink
from microlens.platforms.describe import Description, Line
from microlens.platforms.ytdlp.extraction import extractor_of
from microlens.platforms.ytdlp.listing import listing_url
from microlens.platforms.ytdlp.outcomes import UNSUPPORTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.platforms.base import Ask, ParsedVideo
    from microlens.platforms.describe import PageKind
    from microlens.platforms.ytdlp.platform import YtDlpPlatform

_COMMENTS_SHOWN = 20
_MANDATORY = frozenset({"video_id", "title"})


def describe(platform: YtDlpPlatform, url: str, ask: Ask, kind: PageKind | None = None) -> Description:
    """Read an address as the crawler would; RecipeError for one that only the generic extractor would take."""
    platform.check_instances([url])
    extractor = extractor_of(url)
    if extractor is None:
        raise UnavailableError(UNSUPPORTED)
    key, is_list = str(extractor.ie_key()), extractor._RETURN_TYPE == "playlist"  # noqa: SLF001 - see `extraction`
    chosen: PageKind = kind or ("home" if is_list else "video")
    if chosen == "home":
        lines = _home(platform, url, ask)
    elif chosen == "video":
        link = VideoLink(f"{key}:{extractor.get_temp_id(url) or url}", url)
        lines = _video(platform.ask_video(link, ask))
    elif chosen == "comments":
        lines = _comments(platform, url, ask)
    else:
        raise RecipeError("yt-dlp knows no related videos", hint="choose --page home, video or comments")
    return Description(chosen, url, (Line("extractor", key), *lines))


def _home(platform: YtDlpPlatform, url: str, ask: Ask) -> Iterator[Line]:
    home = platform.ask_home(listing_url(url, 0), ask)
    yield Line("links", [asdict(link) for link in home.links] or None, is_mandatory=not home.is_last)
    yield Line("is_last", home.is_last)


def _video(video: ParsedVideo) -> Iterator[Line]:
    for field in fields(video):
        value: Any = getattr(video, field.name)
        shown = [asdict(link) for link in value] or None if field.name == "media" else value
        if field.name not in {"related", "related_url"}:
            yield Line(field.name, shown, is_mandatory=field.name in _MANDATORY)


def _comments(platform: YtDlpPlatform, url: str, ask: Ask) -> Iterator[Line]:
    comments = platform.ask_comments(url, ask, limit=_COMMENTS_SHOWN)
    yield Line("comments", [comment._asdict() for comment in comments] or None)

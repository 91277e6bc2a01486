"""The adapter. yt-dlp itself is imported when something is asked for: most commands only need addresses spelled."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from microlens.errors import RecipeError
from microlens.outcomes import Refusal
from microlens.platforms import fields
from microlens.platforms.base import HomePage, UnavailableError, VideoLink
from microlens.platforms.ytdlp.facts import comments_of, video_of
from microlens.platforms.ytdlp.listing import ENTRIES_PER_REFRESH, check_listing, link_of, listing_url, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.platforms.base import Ask, ParsedComment, ParsedVideo
    from microlens.platforms.ytdlp.extraction import Extraction

_NOT_ONE = Refusal("not_one_video", is_final=True)
_NEWEST_FIRST = {"youtube": {"comment_sort": ["new"]}}


class YtDlpPlatform:
    """Reads what yt-dlp's extractors read; an `instance` is a listing: see microlens.platforms.ytdlp.listing."""

    name = "ytdlp"

    def __init__(self) -> None:
        if find_spec("yt_dlp") is None:
            raise RecipeError(
                "platform 'ytdlp' needs yt-dlp, which is not installed",
                hint="pip install 'microlens-build[ytdlp]'",
            )

    def check_instances(self, instances: Iterable[str]) -> None:
        for instance in instances:
            check_listing(instance, _key_of)

    def home_url(self, instance: str, refresh: int) -> str:
        return listing_url(instance, refresh)

    def comments_url(self, page_request_url: str, video_id: str) -> str:  # noqa: ARG002 - the adapters' signature
        """The page itself: what an extractor needs for comments stands there."""
        return page_request_url

    def ask_home(self, url: str, ask: Ask) -> HomePage:
        extraction = _extraction(ask)
        listing, refresh = place_of(url)
        info = extraction.info(listing)
        if "entries" not in info:
            key = fields.text_or_none(info.get("extractor_key")) or _key_of(listing)
            return HomePage((VideoLink(f"{key}:{info.get('id')}", listing),), is_last=True)
        start = refresh * ENTRIES_PER_REFRESH
        entries = extraction.entries(listing, info, start, start + ENTRIES_PER_REFRESH)
        found = [link_of(entry, _key_of) for entry in entries if isinstance(entry, dict)]
        links = {link.video_id: link for link in found if link is not None}
        return HomePage(tuple(links.values()), is_last=len(entries) < ENTRIES_PER_REFRESH)

    def ask_video(self, link: VideoLink, ask: Ask) -> ParsedVideo:
        extraction = _extraction(ask, noplaylist=True)
        info = extraction.info(link.url, _key_in(link.video_id))
        if "entries" in info:
            # A post with one video is one; of several, none is known to be the one that was meant.
            several = [entry for entry in extraction.entries(link.url, info, 0, 2) if isinstance(entry, dict)]
            if len(several) != 1 or several[0].get("_type", "video") != "video":
                raise UnavailableError(_NOT_ONE)
            info = several[0]
        if fields.text_or_none(info.get("title")) is None:
            raise extraction.broken(link.url, f"no 'title'; it has {sorted(info)}")
        return video_of(info, link)

    def ask_comments(self, url: str, ask: Ask, *, limit: int) -> tuple[ParsedComment, ...]:
        extraction = _extraction(ask, noplaylist=True, getcomments=True, extractor_args=_NEWEST_FIRST)
        rows = extraction.comments(url, limit)
        comments = tuple(comments_of(rows, url))
        if rows and not comments:
            raise extraction.broken(url, f"none of its {len(rows)} comments says who wrote it and when")
        return comments


def _extraction(ask: Ask, **options: Any) -> Extraction:
    from microlens.platforms.ytdlp.extraction import Extraction  # noqa: PLC0415 - see the top

    return Extraction(ask, options)


def _key_of(url: str, key: str | None = None) -> str | None:
    """The key of the extractor that reads an address; None where only the generic one would."""
    from microlens.platforms.ytdlp.extraction import extractor_of  # noqa: PLC0415 - see the top

    found = extractor_of(url, key)
    return None if found is None else str(found.ie_key())


def _key_in(video_id: str) -> str:
    return video_id.partition(":")[0]

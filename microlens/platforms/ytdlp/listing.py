"""Listings: what a recipe's `instances` are for yt-dlp, and the videos that a page of one names.

A listing is a channel, a hashtag, a playlist, by its address; or a search (`ytsearch50:cats`), which has none. A
frontier item needs an address for its host's budget, so it holds the place in the listing, and a search, behind `#`,
which is never sent.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urldefrag, urlencode, urlsplit

from microlens.errors import RecipeError
from microlens.platforms import fields
from microlens.platforms.base import VideoLink

if TYPE_CHECKING:
    from collections.abc import Callable

ENTRIES_PER_REFRESH = 200
"""Many, since most extractors begin each time at the first."""

SEARCH_HOSTS = {
    "bilisearch": "https://api.bilibili.com",
    "gvsearch": "https://www.google.com",
    "nicosearch": "https://www.nicovideo.jp",
    "nicosearchdate": "https://www.nicovideo.jp",
    "prxseries": "https://cms.prx.org",
    "prxstories": "https://cms.prx.org",
    "rkfnsearch": "https://www.rokfin.com",
    "scsearch": "https://soundcloud.com",
    "ytsearch": "https://www.youtube.com",
    "ytsearchdate": "https://www.youtube.com",
    "yvsearch": "https://video.search.yahoo.com",
}
"""By the words with which yt-dlp begins a search: whose budget it is."""
_SEARCH = re.compile(r"(?P<key>[a-z]+?)(?P<count>\d+|all)?:(?!//)(?P<words>.+)", re.DOTALL)
_CLOSED = frozenset({"private", "premium_only", "subscriber_only", "needs_auth"})
_NOT_YET = frozenset({"is_live", "is_upcoming", "post_live"})


class Place(NamedTuple):
    """What a frontier item asks for."""

    listing: str
    refresh: int


def listing_url(instance: str, refresh: int) -> str:
    host = _search_host(instance)
    if host is None:
        return f"{instance}#{urlencode({'refresh': refresh})}"
    return f"{host}/#{urlencode({'refresh': refresh, 'search': instance})}"


def place_of(url: str) -> Place:
    address, fragment = urldefrag(url)
    told = {name: values[0] for name, values in parse_qs(fragment).items()}
    return Place(told.get("search", address), int(told.get("refresh", "0")))


def check_listing(instance: str, key_of: Callable[[str], str | None]) -> None:
    """RecipeError for what is no listing; `key_of` names the extractor of an address."""
    search = _SEARCH.fullmatch(instance)
    if _search_host(instance) is None and search is not None and urlsplit(instance).scheme not in {"http", "https"}:
        near = difflib.get_close_matches(search["key"], SEARCH_HOSTS, n=1)
        raise RecipeError(
            f"instances: {instance!r} is no search that platform 'ytdlp' knows",
            hint=f"did you mean {near[0]!r}?" if near else f"searches begin with one of {', '.join(SEARCH_HOSTS)}",
        )
    if urlsplit(instance).fragment or (_search_host(instance) is None and not urlsplit(instance).netloc):
        raise RecipeError(
            f"instances: {instance!r} is neither the address of a listing, without '#', nor a search",
            hint="give the address of a channel, a hashtag or a playlist, or a search such as ytsearch50:cats",
        )
    if key_of(instance) is None:
        raise RecipeError(
            f"instances: yt-dlp has no extractor of its own for {instance!r}",
            hint="sites that it knows: `yt-dlp --list-extractors`; its generic extractor is not used; "
            "for any other site describe it with platform 'selectors'",
        )


def link_of(entry: dict[str, Any], key_of: Callable[[str, str | None], str | None]) -> VideoLink | None:
    """The link that a listing's entry is; None for one that says nothing.

    Its id begins with the extractor's key, for an extractor's ids are its own. Where the listing gives no id, the
    address is one: what an extractor reads from an address need not be unique.
    """
    url = next((address for address in (entry.get("url"), entry.get("webpage_url")) if _is_page(entry, address)), None)
    said_id = fields.text_or_none(entry.get("id"))
    if url is None:
        # A file without a page of its own (one of several in a post) cannot be visited again.
        return VideoLink(f"{_said_key(entry)}:{said_id}", "", "no_page_of_its_own") if said_id else None
    key = key_of(url, fields.text_or_none(entry.get("ie_key")))
    parts = urlsplit(url)
    address = f"{parts.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    if key is None:
        return VideoLink(f"unsupported:{address}", url, "unsupported_address")
    return VideoLink(f"{key}:{said_id or address}", url, refusal_of_info(entry))


def refusal_of_info(info: dict[str, Any]) -> str | None:
    """Why a video's owner does not want it taken, as far as yt-dlp says."""
    if (fields.int_or_none(info.get("age_limit")) or 0) >= 18:  # noqa: PLR2004 - years
        return "sensitive"
    if info.get("availability") in _CLOSED:
        return "private"
    if info.get("availability") == "unlisted":
        return "unlisted"
    if info.get("live_status") in _NOT_YET or info.get("is_live") is True:
        return "live"
    return "drm" if info.get("_has_drm") is True else None


def _is_page(entry: dict[str, Any], address: Any) -> bool:
    is_file = address == entry.get("url") and entry.get("_type", "video") == "video"
    return isinstance(address, str) and address.startswith(("http://", "https://")) and not is_file


def _said_key(entry: dict[str, Any]) -> str:
    return fields.text_or_none(entry.get("ie_key")) or fields.text_or_none(entry.get("extractor_key")) or "ytdlp"


def _search_host(instance: str) -> str | None:
    match = _SEARCH.fullmatch(instance)
    return SEARCH_HOSTS.get(match["key"]) if match else None

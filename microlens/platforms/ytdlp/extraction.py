"""yt-dlp as a library: which extractor reads an address, and what it says.

Off: configuration files, plugins, the generic extractor, cache, cookies, proxies, retries of its own, JavaScript
runtimes and PhantomJS (both would fetch past us), and everything that downloads.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import yt_dlp.globals
from yt_dlp import YoutubeDL
from yt_dlp.extractor import gen_extractor_classes, openload
from yt_dlp.extractor.common import InfoExtractor

from microlens.platforms.base import UnavailableError
from microlens.platforms.ytdlp.handler import AskRH
from microlens.platforms.ytdlp.outcomes import UNSUPPORTED, broken, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yt_dlp.networking.common import RequestDirector

    from microlens.platforms.base import Ask

Info = dict[str, Any]

_HOPS = 8
"""Extractors that hand on to each other for one address."""
_DEPTH = 2
"""A channel, its tabs."""
_OPTIONS = {
    "cachedir": False,
    "check_formats": False,
    "color": "never",
    "extractor_retries": 0,
    "geo_bypass": False,
    "js_runtimes": {},
    "no_warnings": True,
    "proxy": "",
    "quiet": True,
    "simulate": True,
    "skip_download": True,
}


class _Silence:
    """yt-dlp's words to a person at a terminal; what matters of them is raised."""

    def debug(self, message: str) -> None: ...
    def info(self, message: str) -> None: ...
    def warning(self, message: str, *, once: bool = False) -> None: ...
    def error(self, message: str) -> None: ...


class _Library(YoutubeDL):
    def __init__(self, ask: Ask, options: dict[str, Any]) -> None:
        self._ask = ask
        super().__init__({**_OPTIONS, "logger": _Silence(), **options}, auto_init=False)

    @cached_property
    def _request_director(self) -> RequestDirector:
        return self.build_request_director([partial(AskRH, ask=self._ask)])


@cache
def extractors() -> dict[str, type[InfoExtractor]]:
    """All extractors but the generic one, by their keys, in the order in which yt-dlp tries them."""
    yt_dlp.globals.plugin_dirs.value = []
    yt_dlp.globals.all_plugins_loaded.value = True
    openload.check_executable = lambda *_: False
    return {ie.ie_key(): ie for ie in gen_extractor_classes() if ie._ENABLED and ie.ie_key() != "Generic"}  # noqa: SLF001 - yt-dlp's own word for "not on by default"


def extractor_of(url: str, key: str | None = None) -> type[InfoExtractor] | None:
    """The extractor of that key, or the first that takes the address; None if there is none but the generic one."""
    if key is not None:
        return extractors().get(key)
    return next((ie for ie in extractors().values() if ie.suitable(url)), None)


class Extraction:
    """One page's extraction, for which `ask` makes the requests; `options` are yt-dlp's own."""

    broken = staticmethod(broken)

    def __init__(self, ask: Ask, options: dict[str, Any]) -> None:
        extractors()
        self._library = _Library(ask, options)
        self._comments: Iterator[Any] = iter(())

    def info(self, url: str, key: str | None = None) -> Info:
        """What yt-dlp says of an address: a video, or a playlist with its entries unread.

        UnavailableError as the site says, ExtractorBrokenError where yt-dlp cannot read it.
        """
        over: Info = {}
        address = url
        for _ in range(_HOPS):
            kind = extractor_of(address, key)
            if kind is None:
                raise UnavailableError(UNSUPPORTED)
            with explained(url):
                extractor = self._library.get_info_extractor(kind.ie_key())
                extractor.extract_comments = partial(self._keep_comments, extractor)
                said = extractor.extract(address)
            if not isinstance(said, dict):
                raise broken(url, f"its extractor {kind.ie_key()} gave {type(said).__name__}")
            if said.get("_type") not in {"url", "url_transparent"}:
                return {"extractor_key": kind.ie_key(), **said, **over}
            if said["_type"] == "url_transparent":
                over = {**_given(said), **over}
            address, key = str(said.get("url")), said.get("ie_key")
        raise broken(url, f"its extractors hand on to each other more than {_HOPS} times")

    def comments(self, url: str, limit: int) -> list[Info]:
        """Up to `limit` comments of a video, asked for no further than that."""
        info = self.info(url)
        with explained(url):
            try:
                rows = list(islice(self._comments, limit))
            except InfoExtractor.CommentsDisabled:
                return []
        return [row for row in rows or (info.get("comments") or ())[:limit] if isinstance(row, dict)]

    def _keep_comments(self, extractor: InfoExtractor, *given: Any, **named: Any) -> None:
        """Stand in for the extractor's method that reads all comments to the last before it gives one."""
        self._comments = extractor._get_comments(*given, **named)  # noqa: SLF001 - see above

    def entries(self, url: str, info: Info, start: int, stop: int) -> list[Any]:
        """Entries of a playlist by their places, lists inside of it (a channel's tabs) spread out."""
        entries = info["entries"]
        with explained(url):
            if hasattr(entries, "getslice"):  # yt-dlp's PagedList asks only for the pages it needs
                return list(entries.getslice(start, stop))
            return list(islice(self._spread(entries), start, stop))

    def _spread(self, entries: Any, depth: int = 0) -> Iterator[Any]:
        for entry in () if entries is None else entries:  # a PagedList's truth would cost a request
            if depth < _DEPTH and isinstance(entry, dict) and _is_list(entry):
                inner = entry if "entries" in entry else self.info(str(entry.get("url")), entry.get("ie_key"))
                yield from self._spread(inner["entries"], depth + 1) if "entries" in inner else (entry,)
            else:
                yield entry


def _given(said: Info) -> Info:
    dropped = {"_type", "url", "ie_key", "id", "extractor", "extractor_key"}
    return {name: value for name, value in said.items() if value is not None and name not in dropped}


def _is_list(entry: Info) -> bool:
    """Whether a playlist's entry is a playlist itself; where only a request could tell, one without an id is."""
    if "entries" in entry:
        return True
    url, key = entry.get("url"), entry.get("ie_key")
    kind = extractor_of(url, key) if isinstance(url, str) and "formats" not in entry else None
    if kind is None:
        return False
    gives = kind._RETURN_TYPE  # noqa: SLF001 - what `is_single_video` looks at, without its need of an address
    return bool(gives == "playlist" or (gives == "any" and not entry.get("id")))

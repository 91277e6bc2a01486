"""What a page tells machines of itself: schema.org's VideoObject (JSON-LD), and OpenGraph's `meta` elements.

Sites write both for search engines and for previews, so these facts need no selectors. Broken blocks are passed over.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from microlens.platforms import fields
from microlens.platforms.json_path import find, parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parsel import Selector

    from microlens.platforms.fields import Json

SCHEMA_ORG = "schema.org"
OPEN_GRAPH = "OpenGraph"

_COUNTS = "counts"
"""Where a VideoObject's interactions are put, by their type, before paths are looked up in it."""

_PLAYLIST_TYPES = frozenset({"application/vnd.apple.mpegurl", "application/x-mpegurl"})
_SCHEMA_ORG_PATHS = {
    "video_id": ("$.identifier",),
    "page_url": ("$.url",),
    "title": ("$.name", "$.headline"),
    "tags": ("$.keywords",),
    "category": ("$.genre", "$.genre[0]"),
    "language": ("$.inLanguage", "$.inLanguage.alternateName"),
    "published_at": ("$.datePublished", "$.uploadDate"),
    "duration": ("$.duration",),
    "like_count": (f"$.{_COUNTS}.LikeAction",),
    "view_count": (f"$.{_COUNTS}.WatchAction", f"$.{_COUNTS}.ViewAction"),
    "comment_count": ("$.commentCount", f"$.{_COUNTS}.CommentAction"),
    "author_id": tuple(
        f"$.{who}.{what}" for who in ("author", "author[0]", "creator") for what in ("identifier", "@id", "url")
    ),
    "cover": ("$.thumbnailUrl", "$.thumbnailUrl[0]", "$.thumbnail.contentUrl", "$.thumbnail.url"),
    "video": ("$.contentUrl",),
    "audio": ("$.audio.contentUrl",),
}
_OPEN_GRAPH_NAMES = {
    "page_url": ("og:url",),
    "title": ("og:title",),
    "tags": ("og:video:tag", "video:tag"),
    "published_at": ("og:video:release_date", "video:release_date", "article:published_time"),
    "duration": ("og:video:duration", "video:duration"),
    "cover": ("og:image:secure_url", "og:image:url", "og:image"),
    "video": ("og:video:secure_url", "og:video:url", "og:video"),
    "audio": ("og:audio:secure_url", "og:audio:url", "og:audio"),
}
_PATHS = {name: tuple(map(parse_path, paths)) for name, paths in _SCHEMA_ORG_PATHS.items()}


class SelfDescription:
    """The facts of one page, by the names of a `video` section's keys."""

    def __init__(self, document: Selector) -> None:
        self._canonical = document.css('link[rel="canonical"]::attr(href)').get()
        self._video = video_object(document)
        self._graph = open_graph(document)
        # Most sites name a player's page where the file should stand.
        if not self._graph.get("og:video:type", [""])[0].startswith("video/"):
            self._graph = {name: said for name, said in self._graph.items() if name not in _OPEN_GRAPH_NAMES["video"]}

    def values(self, name: str) -> Iterator[tuple[str, Any]]:
        """(source, value) of a field, the better one first."""
        for path in _PATHS.get(name, ()):
            yield from ((f"{SCHEMA_ORG} VideoObject", value) for value in find(path, self._video))
        for key in _OPEN_GRAPH_NAMES.get(name, ()):
            if key in self._graph:
                yield f"{OPEN_GRAPH} {key}", self._graph[key] if name == "tags" else self._graph[key][0]
        if name == "page_url" and self._canonical:
            yield "link[rel=canonical]", self._canonical

    @property
    def is_playlist(self) -> bool:
        """Whether the VideoObject says that its video is an HLS playlist."""
        return str(self._video.get("encodingFormat")).casefold() in _PLAYLIST_TYPES

    @property
    def refusal(self) -> str | None:
        """`sensitive` where the site says that a video is not for families."""
        return "sensitive" if str(self._video.get("isFamilyFriendly")).casefold() == "false" else None


def video_object(document: Selector) -> Json:
    """The first VideoObject among a page's JSON-LD blocks, `@graph` included; else {}."""
    for script in document.css('script[type="application/ld+json"]::text').getall():
        try:
            block = orjson.loads(script)
        except orjson.JSONDecodeError:
            continue
        for row in fields.rows(block if isinstance(block, list) else [block]):
            for thing in (row, *fields.rows(row.get("@graph")), fields.inner(row, "mainEntity")):
                if "VideoObject" in fields.words(thing.get("@type")):
                    return {**thing, _COUNTS: _interactions(thing)}
    return {}


def open_graph(document: Selector) -> dict[str, list[str]]:
    """`meta` elements by property (or name), each with all its values."""
    found = defaultdict(list)
    for meta in document.css("meta[content]"):
        name = meta.attrib.get("property") or meta.attrib.get("name")
        if name and meta.attrib["content"].strip():
            found[name.strip().lower()].append(meta.attrib["content"].strip())
    return dict(found)


def _interactions(video: Json) -> Json:
    """Counts by type of action; the type may be a word, an address or an object, and one counter needs no list."""
    said = video.get("interactionStatistic")
    counts: Json = {}
    for counter in fields.rows(said if isinstance(said, list) else [said]):
        kind = counter.get("interactionType")
        name = kind.get("@type") if isinstance(kind, dict) else kind
        counts.setdefault(str(name).rpartition("/")[2], counter.get("userInteractionCount"))
    return counts

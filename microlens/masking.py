"""A page's shape without what it says: enough to mend selectors, nothing of anybody.

    kept      elements, attribute names, class names, words of vocabularies (`@type`, `property`, `rel` ...), JSON keys
    masked    every text, number and other attribute: letters become x or X, digits 0 (in JSON numbers 1), so that a
              date, a count or an address can still be told by its shape; long ones are cut
    gone      comments, styles, scripts that hold no JSON; of a JSON list all but the first rows

Nothing is kept for looking harmless: who knows what a site calls its users. Class names are scrubbed besides.
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

import orjson
from parsel import Selector

from microlens.privacy import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 256_000
"""Of one masked page."""

_MAX_READ_BYTES = 2_000_000
_MAX_CHARACTERS, _MAX_ROWS, _MAX_KEYS, _MAX_DEPTH = 40, 3, 200, 40
_VOCABULARY_KEYS = frozenset({"@type", "@context", "interactionType"})
_VOCABULARY_WORD = re.compile(r"(?:https?://schema\.org/?)?[A-Za-z]{0,40}")
_VOCABULARY_ATTRIBUTES = frozenset({"class", "rel", "type", "property", "itemprop", "itemtype", "role", "charset"})
_NAMED_BY_VOCABULARY = {"meta": "name", "script": "id"}
"""Elements that no user writes: their name or id belongs to the site."""
_FIELD_NAME = re.compile(r"[@$_A-Za-z][A-Za-z_$-]{0,39}\d{0,2}")
_PERSON = r"(?:user|account|author|member|profile|person|owner|follower|friend)"
_PEOPLE = re.compile(rf"\w*(?:people|{_PERSON}s|{_PERSON}s?(?:_?by_?\w+|_?map))", re.IGNORECASE)
_LIST_WORDS = frozenset({"count", "cursor", "data", "edges", "items", "list", "next", "nodes", "page", "rows", "total"})
"""What stands under `users` where that is no table by user."""
_FIELD_WORDS = frozenset(
    {
        "a", "about", "abuse", "access", "accessible", "account", "action", "active", "actor", "actors",
        "additional", "age", "aggregate", "aid", "all", "allow", "allowed", "alt", "alternate", "alternative",
        "amount", "answer", "api", "app", "aspect", "at", "audio", "author", "avatar", "avg", "badge", "banner",
        "base", "best", "big", "bit", "bitrate", "blocked", "body", "branch", "breadcrumb", "broadcast", "by",
        "byte", "bytes", "can", "caption", "captions", "cat", "category", "cdn", "channel", "check", "child",
        "children", "cid", "citation", "class", "client", "code", "codec", "collection", "color", "comment",
        "commentator", "comments", "common", "config", "content", "context", "contributor", "copyright",
        "count", "counter", "country", "cover", "crc", "created", "creator", "currency", "cursor", "dash",
        "data", "date", "day", "days", "de", "default", "deleted", "desc", "description", "detail", "digest",
        "dimension", "director", "disabled", "dislike", "dislikes", "display", "download", "downloads",
        "duration", "e", "edge", "edges", "editor", "embed", "en", "enabled", "encoding", "end", "entity",
        "episode", "error", "es", "event", "ext", "extension", "family", "fav", "favorite", "favourite", "feed",
        "file", "files", "first", "flag", "follow", "followers", "following", "format", "fps", "fr", "fragment",
        "frame", "from", "full", "gender", "genre", "gid", "gif", "given", "graph", "h", "has", "hash",
        "hashtag", "hashtags", "hd", "header", "headline", "height", "hidden", "high", "hls", "holder",
        "holders", "home", "host", "hot", "hours", "html", "http", "https", "icon", "id", "identifier", "image",
        "images", "in", "index", "info", "initial", "inner", "interaction", "interactions", "ip", "is", "it",
        "item", "items", "ja", "jpeg", "jpg", "json", "k", "key", "keywords", "kind", "ko", "label", "lang",
        "language", "large", "last", "ld", "legal", "length", "level", "licence", "license", "like", "likes",
        "limit", "link", "links", "list", "live", "local", "location", "low", "m3u8", "main", "map", "max",
        "maxres", "md5", "mean", "media", "medium", "mention", "mentions", "message", "meta", "mid", "mime",
        "min", "minutes", "mode", "modified", "month", "more", "mp4", "ms", "music", "musical", "n", "name",
        "network", "new", "next", "nick", "nickname", "node", "nodes", "normal", "note", "nsfw", "null",
        "number", "object", "of", "offset", "og", "oid", "old", "on", "option", "options", "order", "origin",
        "original", "owner", "page", "pages", "parent", "path", "payload", "performer", "permalink", "person",
        "pid", "pinned", "place", "play", "playback", "player", "playlist", "playlists", "plays", "png",
        "position", "postal", "poster", "potential", "preview", "previous", "price", "privacy", "private",
        "product", "profile", "props", "pt", "public", "publication", "publish", "published", "publisher",
        "quality", "query", "rank", "rate", "rating", "ratio", "reason", "region", "rel", "related", "replies",
        "reply", "required", "requires", "resolution", "response", "result", "results", "review", "rid", "root",
        "row", "rows", "ru", "schema", "score", "sd", "search", "sec", "seconds", "section", "self",
        "sensitive", "series", "server", "session", "sha", "share", "shares", "short", "shot", "should", "show",
        "sid", "sign", "signature", "site", "size", "slug", "small", "sound", "source", "sources", "sponsor",
        "start", "stat", "state", "statistic", "statistics", "stats", "status", "story", "streaming", "street",
        "sub", "subtitle", "subtitles", "sum", "support", "supported", "t", "tag", "tags", "target", "text",
        "thread", "threads", "thumb", "thumbnail", "thumbnails", "tid", "time", "timestamp", "tiny", "title",
        "to", "token", "top", "topic", "torrent", "total", "track", "trending", "ts", "tv", "twitter", "type",
        "uhd", "uid", "updated", "upload", "uploader", "url", "urls", "user", "username", "users", "uuid", "v",
        "valid", "value", "values", "verified", "version", "vid", "video", "video_id", "videos", "view",
        "viewer", "views", "visibility", "visible", "volume", "w", "waiting", "was", "watch", "web", "webm",
        "webp", "width", "with", "work", "worst", "www", "x", "xs", "y", "year", "z", "zh",
    }
)  # fmt: skip
"""What names of fields are made of, in the words of schema.org and of the sites that we know."""
_LEFT = frozenset(" \t\r\n" + string.punctuation)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
"""What an XML tree does not take."""
_LONG_NUMBER = re.compile(r"\d{3,}")
_ASSIGNED = re.compile(r"\s*((?:window|self|var|let|const)[A-Za-z_.$ ]{0,40}=)\s*([\[{].*[\]}])\s*;?\s*", re.DOTALL)


def masked_page(body: bytes) -> tuple[bytes, str]:
    """The page's shape, and `json` or `html` for what it is; at most MAX_BYTES, whatever the page."""
    if body.lstrip()[:1] in {b"{", b"["}:
        data = _json_or_none(body)
        if data is not None:
            return orjson.dumps(data, option=orjson.OPT_INDENT_2)[:MAX_BYTES], "json"
    return _masked_html(body[:_MAX_READ_BYTES].decode("utf-8", errors="replace")).encode()[:MAX_BYTES], "html"


def masked_text(text: str) -> str:
    """A text of the same shape: letters, digits and whatever else carries meaning give way, ASCII marks stay."""
    end = "…" if len(text) > _MAX_CHARACTERS else ""
    return "".join(map(_masked_character, text[:_MAX_CHARACTERS])) + end


def masked_value(value: Any, *, under: str = "", depth: int = 0) -> Any:
    """A JSON value of the same kinds: null and truth values as they are, lists cut, tables with their field names."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        is_word = under in _VOCABULARY_KEYS and _VOCABULARY_WORD.fullmatch(value)
        return value if is_word else masked_text(value)
    if isinstance(value, (int, float)):
        return _masked_number(value)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, list):
        return [masked_value(row, under=under, depth=depth + 1) for row in value[:_MAX_ROWS]]
    return dict(_masked_fields(value, under, depth))


def _masked_fields(table: dict[str, Any], under: str, depth: int) -> Iterator[tuple[str, Any]]:
    is_map, is_of_people = _is_map(table), _PEOPLE.fullmatch(under) is not None
    for place, (key, value) in enumerate(list(table.items())[: _MAX_ROWS if is_map else _MAX_KEYS]):
        is_hidden = is_map or (is_of_people and key not in _LIST_WORDS) or not _FIELD_NAME.fullmatch(key)
        name = f"{masked_text(key)}~{place}" if is_hidden else key
        yield name, masked_value(value, under="" if is_hidden else key, depth=depth + 1)


def _is_map(table: dict[str, Any]) -> bool:
    """Whether keys are somebody's ids rather than names of fields.

    So they may be where one kind of thing stands under all of them, unless each is made of words that fields are
    called by; and where several tables much alike do.
    """
    rows = list(table.values())
    if len(set(map(type, rows))) == 1 and not all(_FIELD_WORDS.issuperset(_words(key)) for key in table):
        return True
    if len(rows) < 2 or not all(isinstance(row, dict) for row in rows):  # noqa: PLR2004 - several
        return False
    return 2 * len(set.intersection(*map(set, rows))) >= len(set.union(*map(set, rows)))


def _words(key: str) -> set[str]:
    """The words of a field's name, however it is written: `viewCount`, `view_count`, `view-count`, `url2`."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", key)} or {key}


def _masked_number(number: float) -> float:
    """Ones, as many as there were digits: seconds can be told from milliseconds, ids from each other cannot."""
    ones = re.sub(r"\d", "1", repr(number))
    return int(ones) if isinstance(number, int) else float(ones)


def _masked_character(character: str) -> str:
    if character in _LEFT:
        return character
    if character.isdigit():
        return "0"
    return "X" if character.isupper() else "x"


def _json_or_none(text: str | bytes) -> Any:
    try:
        return masked_value(orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


def _masked_html(text: str) -> str:
    document = Selector(text=text, type="html")
    for element in document.root.iter():
        if not isinstance(element.tag, str):
            element.text = ""  # a comment
        elif element.tag in {"script", "style"}:
            element.text = _masked_script(element.text or "") if element.tag == "script" else ""
        elif element.text:
            element.text = masked_text(element.text)
        if element.tail:
            element.tail = masked_text(element.tail)
        if isinstance(element.tag, str):
            for name, value in element.attrib.items():
                element.attrib[name] = _masked_attribute(element.tag, name, value)
    return str(document.get())


def _masked_script(text: str) -> str:
    """Masked JSON, on its own or given to a variable; other code is gone."""
    assigned = _ASSIGNED.fullmatch(text)
    data = _json_or_none(assigned[2] if assigned else text)
    if data is None:
        return ""
    # A `</script>` inside a text cannot be left: every letter of it is masked.
    return f"{assigned[1] if assigned else ''} {orjson.dumps(data).decode()}".strip()


def _masked_attribute(tag: str, name: str, value: str) -> str:
    if name in _VOCABULARY_ATTRIBUTES or name == _NAMED_BY_VOCABULARY.get(tag):
        return _LONG_NUMBER.sub("000", _CONTROL.sub("", scrub(value[:200])))
    return masked_text(value)

"""yt-dlp's info dictionary (documented at the top of yt_dlp/extractor/common.py) in our words."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urlsplit

from microlens.platforms import fields
from microlens.platforms.base import ParsedComment, ParsedVideo
from microlens.platforms.ytdlp.listing import refusal_of_info
from microlens.records import MediaLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microlens.platforms.base import VideoLink
    from microlens.platforms.fields import Json

_MANIFESTS = (".m3u8", ".mpd", ".f4m", ".ism", ".mhtml")


def video_of(info: Json, link: VideoLink) -> ParsedVideo:
    """The video that an info is; its title is the one field that every extractor must give."""
    return ParsedVideo(
        video_id=link.video_id,
        page_url=_address(info.get("webpage_url")) or urldefrag(link.url).url,
        title=str(info["title"]),
        tags=tuple(dict.fromkeys(tag.removeprefix("#") for tag in fields.words(info.get("tags")))),
        category=next(iter(fields.words(info.get("categories"))), None),
        language=fields.text_or_none(info.get("language")),
        published_at_ms=_published_at_ms(info),
        duration_s=fields.float_or_none(info.get("duration")),
        like_count=fields.int_or_none(info.get("like_count")),
        view_count=fields.int_or_none(info.get("view_count")),
        comment_count=fields.int_or_none(info.get("comment_count")),
        author_id=_of_site(link.url, info.get("channel_id") or info.get("uploader_id")),
        media=tuple(_media(info)),
        refusal=refusal_of_info(info),
    )


def comments_of(rows: Iterable[Json], url: str) -> Iterator[ParsedComment]:
    """Comments, replies included; one that does not say who wrote it and when is no interaction, and is left out."""
    for row in rows:
        comment_id, user_id = _of_site(url, row.get("id")), _of_site(url, row.get("author_id"))
        at_ms = _ms(row.get("timestamp"))
        if comment_id is not None and user_id is not None and at_ms is not None:
            yield ParsedComment(comment_id, user_id, str(row.get("text") or row.get("html") or ""), at_ms)


def _of_site(url: str, said: Any) -> str | None:
    """An id as one platform's: sites count alike, and here they all are platform `ytdlp`."""
    text = fields.text_or_none(said)
    return f"{(urlsplit(url).hostname or '').removeprefix('www.')}:{text}" if text else None


def _published_at_ms(info: Json) -> int | None:
    moment = _ms(info.get("timestamp")) or _ms(info.get("release_timestamp"))
    try:
        day = datetime.strptime(str(info.get("upload_date")), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return moment
    return moment if moment is not None else round(day.timestamp() * 1000)


def _ms(seconds: Any) -> int | None:
    number = fields.float_or_none(seconds)
    ms = None if number is None else math.floor(number * 1000)
    return ms if ms is not None and abs(ms) < fields.INT64 else None


def _media(info: Json) -> Iterator[MediaLink]:
    cover = _cover(info)
    if cover is not None:
        yield MediaLink("cover", cover)
    files = [row for row in fields.rows(info.get("formats")) or [info] if _is_file(row)]
    pictures = [row for row in files if row.get("vcodec") != "none"]
    # A file with its sound is a clip; where the site has none, its picture and its sound are an asset each.
    whole = [row for row in pictures if row.get("acodec") != "none"]
    for row in _best_of_each_height(whole or pictures):
        yield MediaLink("video", row["url"], fields.int_or_none(row.get("height")), _size(row))
    sounds = [row for row in files if row.get("vcodec") == "none" and row.get("acodec") != "none"]
    if sounds:
        sound = max(sounds, key=lambda row: (_rate(row), row["url"]))
        yield MediaLink("audio", sound["url"], None, _size(sound))


def _is_file(row: Json) -> bool:
    """Whether a format is one file that a plain request gives: no segments, no rights management, no cookies."""
    url = _address(row.get("url"))
    if url is None or row.get("fragments") or row.get("has_drm") or row.get("cookies"):
        return False
    protocol = row.get("protocol") or urlsplit(url).scheme
    return protocol in {"http", "https"} and not urlsplit(url).path.lower().endswith(_MANIFESTS)


def _best_of_each_height(rows: Iterable[Json]) -> Iterable[Json]:
    best: dict[int | None, Json] = {}
    for row in sorted(rows, key=lambda row: (row.get("ext") in {None, "mp4"}, _rate(row), row["url"])):
        best[fields.int_or_none(row.get("height"))] = row
    # Beside files of known height, one without is not known to have a picture at all.
    return [row for height, row in best.items() if height is not None] or list(best.values())


def _rate(row: Json) -> float:
    return next((rate for name in ("tbr", "vbr", "abr") if (rate := fields.float_or_none(row.get(name)))), 0.0)


def _size(row: Json) -> int | None:
    return fields.int_or_none(row.get("filesize"))


def _cover(info: Json) -> str | None:
    """Choose the thumbnail that the extractor prefers, then the largest, then the last."""
    ranked = [
        (
            fields.int_or_none(row.get("preference")) or 0,
            (fields.int_or_none(row.get("width")) or 0) * (fields.int_or_none(row.get("height")) or 0),
            place,
            address,
        )
        for place, row in enumerate(fields.rows(info.get("thumbnails")))
        if (address := _address(row.get("url"))) is not None
    ]
    return max(ranked)[-1] if ranked else _address(info.get("thumbnail"))


def _address(value: Any) -> str | None:
    is_web = isinstance(value, str) and value.startswith(("http://", "https://"))
    return value if is_web else f"https:{value}" if isinstance(value, str) and value.startswith("//") else None

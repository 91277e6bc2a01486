"""The site that runs on this machine: HTML pages with a schema.org VideoObject, comments as JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

from parsel import Selector

from microlens.addresses import canonical_url
from microlens.platforms import fields
from microlens.platforms.base import CommentPage, HomePage, ParsedComment, ParsedVideo, VideoLink, page_changed
from microlens.platforms.quantities import parse_count
from microlens.records import MediaLink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.platforms.base import Page
    from microlens.platforms.fields import Json
    from microlens.records import AssetKind, Caption

COMMENTS_PER_PAGE = 100

_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_VIDEO_PATH = re.compile(r"/v/(?P<id>[^/?#]+)")
_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


class SandboxPlatform:
    """`/?refresh=N` lists videos, `/v/{id}` is one of them and names its related ones."""

    name = "sandbox"
    has_global_ids = True
    """One world, on however many addresses it is served."""
    newest_first = True

    def home_url(self, instance: str, refresh: int) -> str:
        return f"{instance.rstrip('/')}/?refresh={refresh}"

    def parse_home(self, page: Page) -> HomePage:
        links = _links(page, _document(page), "a.video")
        if not links:
            raise page_changed(page, "link of class 'video'")
        return HomePage(links)

    def parse_video(self, page: Page) -> ParsedVideo:
        document = _document(page)
        video = _video_object(page, document)
        return ParsedVideo(
            video_id=fields.text(page, video, "identifier"),
            page_url=fields.absolute(page, fields.text(page, video, "url")),
            title=fields.text(page, video, "name"),
            tags=fields.words(video.get("keywords")),
            category=fields.text_or_none(video.get("genre")),
            language=fields.text_or_none(video.get("inLanguage")),
            published_at_ms=fields.ms_or_none(video.get("uploadDate")),
            duration_s=_seconds_or_none(video.get("duration")),
            like_count=_interactions(video, "LikeAction"),
            view_count=_interactions(video, "WatchAction"),
            comment_count=_interactions(video, "CommentAction"),
            author_id=fields.text_or_none(fields.inner(video, "author").get("identifier")),
            media=tuple(_media(page, video)),
            related=_links(page, document, "a.related"),
        )

    def parse_related(self, page: Page) -> tuple[VideoLink, ...]:
        return _links(page, _document(page), "a.related")

    def parse_captions(self, _page: Page) -> tuple[Caption, ...]:
        return ()  # no video has a captions_url, so this is never asked

    def comments_url(self, page_request_url: str, video_id: str) -> str:
        path = f"/api/videos/{quote(video_id, safe='')}/comments?limit={COMMENTS_PER_PAGE}"
        return urljoin(page_request_url, path)

    def parse_comments(self, page: Page) -> CommentPage:
        answer = fields.json_answer(page)
        cursor = answer.get("next")
        bare = urlsplit(page.url)._replace(query="", fragment="").geturl()
        comments = _plain_comments(answer.get("comments")) or tuple(
            _careful_comment(page, row) for row in fields.json_objects(page, answer, "comments")
        )
        total = fields.int_or_none(answer.get("total"))
        if cursor is None:
            return CommentPage(comments, total=total)
        following = f"{bare}?limit={COMMENTS_PER_PAGE}&cursor={quote(str(cursor), safe='')}"
        return CommentPage(comments, (following,), total)


def _document(page: Page) -> Selector:
    return Selector(text=page.body.decode("utf-8", errors="replace"))


def _links(page: Page, document: Selector, css: str) -> tuple[VideoLink, ...]:
    urls: dict[str, str] = {}
    for href in document.css(f"{css}::attr(href)").getall():
        url = fields.absolute(page, href)
        urls.setdefault(canonical_url(url), url)
    found = [(_VIDEO_PATH.fullmatch(urlsplit(url).path), url) for url in urls.values()]
    if not all(match for match, _ in found):
        raise page_changed(page, f"'/v/{{id}}' in a link that {css!r} selects", urls.values())
    return tuple(VideoLink(match["id"], url) for match, url in found if match)


def _video_object(page: Page, document: Selector) -> Json:
    for script in document.css('script[type="application/ld+json"]::text').getall():
        block = fields.json_answer(page, script.encode())
        if block.get("@type") == "VideoObject":
            return block
    raise page_changed(page, "JSON-LD block of type VideoObject")


def _plain_comments(rows: Any) -> tuple[ParsedComment, ...] | None:
    """A page's comments column by column, if each is as it should be; nearly every page is."""
    try:
        users = [row["user"] for row in rows]
        ids, raw = [row["id"] for row in rows], [user["id"] for user in users]
        texts, moments = [row["text"] for row in rows], [row["created_at_ms"] for row in rows]
        genders = [user.get("gender") for user in users]
    except (KeyError, TypeError, AttributeError):
        return None
    is_plain = (
        {str} == {*map(type, ids), *map(type, raw), *map(type, texts)}
        and {int} == set(map(type, moments))
        and -fields.INT64 < min(moments) <= max(moments) < fields.INT64
        and {*map(type, genders)} <= {str, type(None)}
        and "" not in genders
    )
    return tuple(map(ParsedComment._make, zip(ids, raw, texts, moments, genders, strict=True))) if is_plain else None


def _careful_comment(page: Page, row: Json) -> ParsedComment:
    user = fields.inner(row, "user")
    return ParsedComment(
        comment_id=fields.text(page, row, "id"),
        user_id=fields.text(page, user, "id"),
        text=fields.text(page, row, "text"),
        commented_at_ms=fields.number(page, row, "created_at_ms"),
        gender=fields.text_or_none(user.get("gender")),
    )


def _media(page: Page, video: Json) -> Iterator[MediaLink]:
    urls: dict[AssetKind, Any] = {
        "cover": video.get("thumbnailUrl"),
        "audio": fields.inner(video, "audio").get("contentUrl"),
        "video": video.get("contentUrl"),
    }
    for kind, url in urls.items():
        if isinstance(url, str) and url:
            is_playlist = kind == "video" and video.get("encodingFormat") == _PLAYLIST_TYPE
            yield MediaLink(kind, fields.absolute(page, url), format="hls" if is_playlist else "file")


def _interactions(video: Json, action: str) -> int | None:
    """Count of one kind of action; schema.org lets its type be a word, an address or an object."""
    for counter in fields.rows(video.get("interactionStatistic")):
        kind = counter.get("interactionType")
        name = kind.get("@type") if isinstance(kind, dict) else kind
        if str(name).rpartition("/")[2] == action:
            said = counter.get("userInteractionCount")
            return parse_count(said) if isinstance(said, (int, str)) else None
    return None


def _seconds_or_none(value: Any) -> float | None:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match or not any(match.groups()):
        return None
    return sum(float(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)

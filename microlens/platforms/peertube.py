"""Any PeerTube instance, by its public JSON API; federated videos and comments are one wherever they are seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from microlens.addresses import origin_of
from microlens.platforms import fields
from microlens.platforms.base import CommentPage, HomePage, ParsedComment, ParsedVideo, VideoLink, page_changed
from microlens.records import Caption, MediaLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microlens.platforms.base import Page
    from microlens.platforms.fields import Json
    from microlens.records import AssetKind

VIDEOS_PER_PAGE = 15
RELATED_PER_PAGE = 20
COMMENTS_PER_PAGE = 100
"""The server's maximum: 101 is answered with status 400."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_COMMENTS_PATH = re.compile(r"/api/v1/videos/[^/]+/comment-threads(?P<thread>/\d+)?")


class PeerTubePlatform:
    """`video_id` is the uuid, `comment_id` the comment's address: numeric ids differ from instance to instance."""

    name = "peertube"
    has_global_ids = True
    newest_first = True
    """Of the threads; answers stand below theirs."""

    def home_url(self, instance: str, refresh: int) -> str:
        # Without nsfw=both the server hides sensitive videos, and nobody could say how many were left out.
        query = f"start={VIDEOS_PER_PAGE * refresh}&count={VIDEOS_PER_PAGE}&sort=-publishedAt&nsfw=both"
        return f"{instance.rstrip('/')}/api/v1/videos?{query}"

    def parse_home(self, page: Page) -> HomePage:
        answer = fields.json_answer(page)
        rows = fields.json_objects(page, answer, "data")
        end = _asked(page, "start", 0) + len(rows)
        return HomePage(_links(page, rows), is_last=not rows or end >= fields.number(page, answer, "total"))

    def parse_video(self, page: Page) -> ParsedVideo:
        video = fields.json_answer(page)
        tags = fields.words(video.get("tags"))
        return ParsedVideo(
            video_id=_uuid(page, video),
            page_url=fields.text(page, video, "url"),
            title=fields.text(page, video, "name"),
            tags=tags,
            category=_category(video),
            language=fields.text_or_none(fields.inner(video, "language").get("id")),
            published_at_ms=fields.ms_or_none(video.get("publishedAt")),
            duration_s=fields.float_or_none(video.get("duration")),
            like_count=fields.int_or_none(video.get("likes")),
            view_count=fields.int_or_none(video.get("views")),
            comment_count=fields.int_or_none(video.get("comments")),
            author_id=_handle(fields.inner(video, "account")),
            media=(*_covers(page, video), *_streams(page, video)),
            refusal=_refusal(video),
            related_url=_related_url(page, tags),
            captions_url=f"{fields.origin(page.url)}/api/v1/videos/{_uuid(page, video)}/captions",
        )

    def parse_related(self, page: Page) -> tuple[VideoLink, ...]:
        """Read the rows of a search by tags, the video itself among them: the answer does not tell whose tags."""
        return _links(page, fields.json_objects(page, fields.json_answer(page), "data"))

    def parse_captions(self, page: Page) -> tuple[Caption, ...]:
        """Read where each language's captions are; older servers tell the path alone."""
        rows = fields.json_objects(page, fields.json_answer(page), "data")
        told = [
            (
                fields.text_or_none(fields.inner(row, "language").get("id")),
                row.get("fileUrl") or row.get("captionPath"),
                row,
            )
            for row in rows
        ]
        return tuple(
            Caption(language, fields.absolute(page, url), _bool_or_none(row.get("automaticallyGenerated")))
            for language, url, row in told
            if language and isinstance(url, str)
        )

    def comments_url(self, page_request_url: str, video_id: str) -> str:
        video = f"{fields.origin(page_request_url)}/api/v1/videos/{quote(video_id, safe='')}"
        return _threads_url(f"{video}/comment-threads", 0)

    def parse_comments(self, page: Page) -> CommentPage:
        match = _COMMENTS_PATH.fullmatch(urlsplit(page.url).path)
        if match is None:
            raise page_changed(page, "'/api/v1/videos/{id}/comment-threads' in the address")
        return _thread(page) if match["thread"] else _roots(page)


def _roots(page: Page) -> CommentPage:
    """Read a list of threads: the comments they begin with, and where the answers to them are."""
    answer = fields.json_answer(page)
    rows = fields.json_objects(page, answer, "data")
    threads = urlsplit(page.url)._replace(query="", fragment="").geturl()
    # A tombstone is no comment, yet it counts the live answers below it like any other root.
    following = [
        f"{threads}/{fields.number(page, row, 'id')}" for row in rows if fields.int_or_none(row.get("totalReplies"))
    ]
    end = _asked(page, "start", 0) + _asked(page, "count", COMMENTS_PER_PAGE)
    if rows and end < fields.number(page, answer, "total"):
        following.append(_threads_url(threads, end))
    # `total` counts threads alone, and their tombstones.
    total = fields.int_or_none(answer.get("totalNotDeletedComments"))
    return CommentPage(tuple(_comments(page, rows)), tuple(following), total)


def _thread(page: Page) -> CommentPage:
    """Read one thread's answers; its root is known from the list."""
    waiting = fields.json_objects(page, fields.json_answer(page), "children")[::-1]
    replies = []
    while waiting:
        node = waiting.pop()
        replies.append(fields.json_object(page, node.get("comment"), "comment"))
        waiting += fields.json_objects(page, node, "children")[::-1]
    return CommentPage(tuple(_comments(page, replies)))


def _comments(page: Page, rows: Iterable[Json]) -> Iterator[ParsedComment]:
    for row in rows:
        # A tombstone keeps its place in the thread, without author and text.
        if row.get("isDeleted") or row.get("heldForReview") or row.get("account", row) is None:
            continue
        user_id = _handle(fields.inner(row, "account"))
        commented_at_ms = fields.ms_or_none(row.get("createdAt"))
        if user_id is None or commented_at_ms is None:
            raise page_changed(page, "usable 'account' or 'createdAt' of a comment", row)
        yield ParsedComment(fields.text(page, row, "url"), user_id, fields.text(page, row, "text"), commented_at_ms)


def _links(page: Page, rows: Iterable[Json]) -> tuple[VideoLink, ...]:
    videos = f"{fields.origin(page.url)}/api/v1/videos"
    return tuple(
        VideoLink(_uuid(page, row), f"{videos}/{_uuid(page, row)}", _refusal(row), _origin_url(page, row))
        for row in rows
    )


def _origin_url(page: Page, row: Json) -> str | None:
    """The video on the instance that it comes from: its public address, ActivityPub's id of it, lies there."""
    url = row.get("url")
    try:
        origin = origin_of(url) if isinstance(url, str) else ""
    except ValueError:  # a broken IPv6 address is one
        return None
    return f"{origin}/api/v1/videos/{_uuid(page, row)}" if origin.startswith(("http://", "https://")) else None


def _bool_or_none(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _refusal(video: Json) -> str | None:
    if video.get("nsfw"):
        return "sensitive"
    # The server does not enforce it; the owner has said it all the same.
    if video.get("downloadEnabled") is False:
        return "download_disabled"
    return "live" if video.get("isLive") else None


def _category(video: Json) -> str | None:
    """Take the label, which is the same on all instances; without an id it says `Unknown`."""
    category = fields.inner(video, "category")
    return fields.text_or_none(category.get("label")) if fields.text_or_none(category.get("id")) else None


def _covers(page: Page, video: Json) -> Iterator[MediaLink]:
    """Choose the largest landscape thumbnail: the square one is made for podcasts."""
    shapes = [
        (fields.int_or_none(row.get("width")) or 0, fields.int_or_none(row.get("height")) or 0, row["fileUrl"])
        for row in fields.rows(video.get("thumbnails"))
        if isinstance(row.get("fileUrl"), str)
    ]
    landscape = [shape for shape in shapes if shape[0] > shape[1]]
    cover = max(landscape)[2] if landscape else video.get("previewPath") or video.get("thumbnailPath")
    if isinstance(cover, str):
        yield MediaLink("cover", fields.absolute(page, cover))


def _streams(page: Page, video: Json) -> Iterator[MediaLink]:
    """Take the web videos; where an instance keeps none, the fragmented MP4 files behind its playlists, or these."""
    web = fields.rows(video.get("files"))
    playlists = fields.rows(video.get("streamingPlaylists"))
    fragmented = [row for playlist in playlists for row in fields.rows(playlist.get("files"))]
    kinds: tuple[AssetKind, ...] = ("video", "audio")
    for kind in kinds:
        yield from _of_kind(page, web, kind) or _of_kind(page, fragmented, kind)
    if not web and not fragmented:
        yield from [
            MediaLink("video", fields.absolute(page, row["playlistUrl"]), format="hls")
            for row in playlists
            if isinstance(row.get("playlistUrl"), str)
        ]


def _of_kind(page: Page, rows: Iterable[Json], kind: AssetKind) -> list[MediaLink]:
    # `fileUrl`, not `fileDownloadUrl`: that one ignores Range and is throttled.
    return [
        MediaLink(kind, fields.absolute(page, row["fileUrl"]), _height(row), fields.int_or_none(row.get("size")))
        for row in rows
        if isinstance(row.get("fileUrl"), str) and (kind == "video") is _has_video(row)
    ]


def _has_video(row: Json) -> bool:
    """Older servers do not say `hasVideo`, but their audio-only resolution is 0 as well."""
    said = row.get("hasVideo")
    return said if isinstance(said, bool) else _height(row) is not None


def _height(row: Json) -> int | None:
    resolution = fields.int_or_none(fields.inner(row, "resolution").get("id"))
    return resolution or fields.int_or_none(row.get("height")) or None


def _related_url(page: Page, tags: Iterable[str]) -> str | None:
    """Spell the search that the official client makes; the server has no list of related videos."""
    wanted = "".join(f"&tagsOneOf={quote(tag, safe='')}" for tag in sorted(tags))
    search = f"{fields.origin(page.url)}/api/v1/search/videos?start=0&count={RELATED_PER_PAGE}"
    return f"{search}{wanted}&sort=-publishedAt" if wanted else None


def _threads_url(threads: str, start: int) -> str:
    return f"{threads}?start={start}&count={COMMENTS_PER_PAGE}&sort=-createdAt"


def _asked(page: Page, parameter: str, default: int) -> int:
    """Read a number from the address that was asked for; the answer does not repeat it."""
    value = fields.int_or_none(parse_qs(urlsplit(page.url).query).get(parameter, [""])[0])
    return default if value is None else value


def _handle(account: Json) -> str | None:
    name, host = account.get("name"), account.get("host")
    return f"{name}@{host}" if isinstance(name, str) and isinstance(host, str) else None


def _uuid(page: Page, row: Json) -> str:
    uuid = fields.text(page, row, "uuid")
    if not _UUID.fullmatch(uuid):
        raise page_changed(page, f"usable 'uuid' (it is {uuid!r})")
    return uuid.lower()

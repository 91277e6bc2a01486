"""The site's HTML and JSON; every title is hostile until escaped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sandbox.pieces import MASTER, PLAYLIST_TYPE
from sandbox.spellings import Spelling, spell
from sandbox.text import make_comment
from sandbox.topics import TOPICS
from sandbox.videos import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.signing import Signer
    from sandbox.world import World

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "ul{columns:2;padding-left:1.2rem}video{width:320px;background:#eee}small{color:#666}"
)
_JSON_IN_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""A `</script>` inside a title would end the JSON-LD block; as an escape it is the same JSON."""


class Pages:
    """Renders the pages of one world; the links of a page are given to it.

    `origin` is the scheme, host and port that were asked: a link to another of the site's hosts takes all but the host
    from it.
    """

    def __init__(self, world: World, *, now_ms: int | None = None, signer: Signer | None = None) -> None:
        """With a clock, dates that are written short are counted back from it; else they stand in full.

        With a signer, links to media end after a while: a page then says others each time.
        """
        self._world = world
        self._now_ms = now_ms
        self._item = lru_cache(maxsize=50_000)(self._render_item)
        self._main = self._render_main if signer else lru_cache(maxsize=10_000)(self._render_main)
        self._sign = signer.sign if signer else str

    def home(self, links: Iterable[int], origin: str) -> str:
        base = self._base(origin)
        items = "".join(self._item(video, "video", base) for video in links)
        return _page("Sandbox", f"<h1>Sandbox</h1><p>Micro-videos made by a seed.</p><ul>{items}</ul>")

    def video(self, video: int, links: Iterable[int], origin: str) -> str:
        base = self._base(origin)
        items = "".join(self._item(other, "related", base) for other in links)
        return f"{self._main(video, origin)}<h2>Related</h2><ul>{items}</ul></body></html>"

    def missing(self, status: HTTPStatus) -> str:
        words = "This video was deleted." if status == HTTPStatus.GONE else "There is no such video."
        return _page("Not here", f"<h1>{status.value}</h1><p>{words}</p>")

    def comments(self, video: int, start: int, limit: int) -> dict[str, Any]:
        """Give comments newest first; `start` counts those that are already behind the reader."""
        world, made = self._world, self._world.comments
        numbers = made.of_video(video)[::-1]
        end = start + limit
        shown = numbers[start:end]
        topic = TOPICS[world.videos.topic[video]]
        rows = zip(
            *(row.tolist() for row in (shown, made.user[shown], made.code[shown], made.created_ms[shown])), strict=True
        )
        return {
            "video": world.videos.ids[video],
            "total": len(numbers),
            "comments": [
                {
                    "id": comment_id(number),
                    "user": self._person(user),
                    "text": make_comment(topic, code),
                    "created_at_ms": created_ms,
                    "reply_count": 0,
                }
                for number, user, code, created_ms in rows
            ],
            "next": str(end) if end < len(numbers) else None,
        }

    def _person(self, user: int) -> dict[str, str]:
        person = {"id": self._world.user_ids[user], "name": self._world.user_name(user)}
        gender = self._world.genders[user]
        return {**person, "gender": gender} if gender else person

    def _base(self, origin: str) -> tuple[str, ...]:
        """What stands before a link's path, by the host of its video."""
        if self._world.config.hosts == 1:
            return ("",)
        scheme, _, place = origin.partition("//")
        port = place.rpartition(":")[2]
        return tuple(f"{scheme}//{address}:{port}" for address in self._world.addresses)

    def _render_item(self, video: int, kind: str, base: tuple[str, ...]) -> str:
        videos = self._world.videos
        href = f"{base[self._world.host[video]]}/v/{videos.ids[video]}"
        return f'<li><a class="{kind}" href="{href}">{escape(videos.titles[video])}</a></li>'

    def _render_main(self, video: int, origin: str) -> str:
        """Render a video's page down to its related links."""
        videos = self._world.videos
        likes, views, comments = self._counts(video)
        title, media = escape(videos.titles[video]), f"/media/{videos.ids[video]}"
        poster, source = (escape(self._sign(f"{media}/{file}")) for file in ("cover.jpg", self._clip(video)))
        player = f'<video controls preload="none" poster="{poster}" src="{source}"></video>'
        tags = " ".join(f"<span>#{escape(tag)}</span>" for tag in videos.tags[video])
        linked = json.dumps(self._linked_data(video, origin), ensure_ascii=False).translate(_JSON_IN_HTML)
        body = (
            f'<script type="application/ld+json">{linked}</script><p><a href="/">Sandbox</a></p><h1>{title}</h1>'
            f"{player if self._world.has_media[video] else ''}"
            f'<p class="facts"><strong>{likes}</strong> likes · <strong>{views}</strong> views · '
            f"<strong>{comments}</strong> comments · <i>{videos.duration_s(video):.1f}</i> s</p>"
            f'<p><small>by <a class="author">{escape(videos.authors[video])}</a>, <time>{self._date(video)}</time> in '
            f'<em class="category">{escape(videos.category(video))}</em> {tags}</small></p>'
        )
        return _page(title, body, videos.languages[video]).removesuffix("</body></html>")

    def _counts(self, video: int) -> tuple[int | str, ...]:
        """Give likes, views and comments as the page writes them."""
        videos = self._world.videos
        counts = (videos.likes[video], videos.views[video], len(self._world.comments.of_video(video)))
        return tuple(spell(int(count), videos.spelling[video]) for count in counts)

    def _date(self, video: int) -> str:
        published_ms, spelling = int(self._world.videos.published_ms[video]), self._world.videos.spelling[video]
        if spelling is Spelling.MYRIAD:
            day = datetime.fromtimestamp(published_ms / 1000, UTC)
            return f"{day.year}年{day.month}月{day.day}日"
        if spelling is Spelling.SHORT and self._now_ms is not None:
            return f"{(self._now_ms - published_ms) // DAY_MS} days ago"
        return _iso_time(published_ms)

    def _clip(self, video: int) -> str:
        return MASTER if self._world.is_in_pieces[video] else "video.mp4"

    def _linked_data(self, video: int, origin: str) -> dict[str, Any]:
        videos = self._world.videos
        video_id, media = videos.ids[video], f"/media/{videos.ids[video]}"
        likes, views, comments = self._counts(video)
        files = {
            "thumbnailUrl": origin + self._sign(f"{media}/cover.jpg"),
            "contentUrl": origin + self._sign(f"{media}/{self._clip(video)}"),
            **({"encodingFormat": PLAYLIST_TYPE} if self._world.is_in_pieces[video] else {}),
            "audio": {"@type": "AudioObject", "contentUrl": origin + self._sign(f"{media}/audio.m4a")},
        }
        return {
            "@context": "https://schema.org",
            "@type": "VideoObject",
            "identifier": video_id,
            "url": f"{origin}/v/{video_id}",
            "name": videos.titles[video],
            "description": f"{videos.titles[video]} | {' '.join(videos.tags[video])}",
            "keywords": list(videos.tags[video]),
            "genre": videos.category(video),
            "inLanguage": videos.languages[video],
            "uploadDate": _iso_time(videos.published_ms[video]),
            "duration": f"PT{videos.duration_s(video):.1f}S",
            **(files if self._world.has_media[video] else {}),
            "author": {"@type": "Person", "identifier": videos.authors[video]},
            "interactionStatistic": [
                _counter("LikeAction", likes),
                _counter("WatchAction", views),
                _counter("CommentAction", comments),
            ],
            "commentCount": comments,
        }


def comment_id(number: int) -> str:
    """Name a comment so that names sort as the comments' times do."""
    return f"c{number:010d}"


def _counter(action: str, count: int | str) -> dict[str, Any]:
    return {
        "@type": "InteractionCounter",
        "interactionType": f"https://schema.org/{action}",
        "userInteractionCount": count,
    }


def _iso_time(time_ms: float) -> str:
    return datetime.fromtimestamp(float(time_ms) / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page(title: str, body: str, language: str = "en") -> str:
    """Wrap a body; it and the title are HTML already."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )

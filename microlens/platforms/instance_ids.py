"""Ids of a site whose instances number their videos and users each for itself: the instance stands before them.

`17` on https://one.example and on https://two.example are two videos: `one.example/17` and `two.example/17`. The same
holds for users and comments. A site whose ids are the same everywhere says so by `has_global_ids`, and is left alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from microlens.addresses import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.platforms.base import CommentPage, HomePage, Page, ParsedVideo, Platform, VideoLink
    from microlens.records import Caption


class InstanceIds:
    """An adapter as it is, its ids made those of their instance."""

    has_global_ids = True

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.name = platform.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._platform, name)

    def home_url(self, instance: str, refresh: int) -> str:
        return self._platform.home_url(instance, refresh)

    def parse_home(self, page: Page) -> HomePage:
        home = self._platform.parse_home(page)
        return replace(home, links=_links(home.links))

    def parse_video(self, page: Page) -> ParsedVideo:
        video = self._platform.parse_video(page)
        own = _instance(page.url)
        return replace(
            video,
            video_id=own + video.video_id,
            author_id=own + video.author_id if video.author_id else None,
            related=_links(video.related),
        )

    def parse_related(self, page: Page) -> tuple[VideoLink, ...]:
        return _links(self._platform.parse_related(page))

    def parse_captions(self, page: Page) -> tuple[Caption, ...]:
        return self._platform.parse_captions(page)

    def comments_url(self, page_request_url: str, video_id: str) -> str:
        return self._platform.comments_url(page_request_url, video_id.removeprefix(_instance(page_request_url)))

    def parse_comments(self, page: Page) -> CommentPage:
        answer = self._platform.parse_comments(page)
        own = _instance(page.url)
        comments = (
            each._replace(comment_id=own + each.comment_id, user_id=own + each.user_id) for each in answer.comments
        )
        return replace(answer, comments=tuple(comments))


def _links(links: Iterable[VideoLink]) -> tuple[VideoLink, ...]:
    """A link's instance is that of its own address: a page may link to another's videos."""
    return tuple(replace(link, video_id=_instance(link.url) + link.video_id) for link in links)


def _instance(url: str) -> str:
    return origin_of(url).partition("://")[2] + "/"

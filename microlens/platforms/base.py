"""What an adapter must tell of its site. Adapters parse bytes that somebody else fetched; they do no I/O.

Every page a stage asks for has one URL that the adapter spells and one answer that the adapter reads:

    home_url(instance, n)      -> parse_home      -> HomePage      links to videos
    VideoLink.url              -> parse_video     -> ParsedVideo   one video, its media, its related links
    ParsedVideo.related_url    -> parse_related   -> links         only where the page itself has none
    comments_url(instance, id) -> parse_comments  -> CommentPage   comments, and the URLs to ask for next

A mandatory field that is missing raises PageChangedError; an optional one is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from microlens.errors import PageChangedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microlens.records import AssetKind, MediaLink


@dataclass(frozen=True, slots=True)
class Page:
    """An answer with status 200, whole, in memory."""

    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class VideoLink:
    """A link to a video's page, found on another page."""

    video_id: str
    """The platform's own id, the same wherever the video is seen."""
    url: str
    """What to fetch for `parse_video`."""
    refusal: str | None = None
    """Set where the list itself says that the video must not be taken (`sensitive`)."""


@dataclass(frozen=True, slots=True)
class HomePage:
    links: tuple[VideoLink, ...]
    is_last: bool = False
    """True where the site says that no further refresh can bring more."""


@dataclass(frozen=True, slots=True)
class ParsedVideo:
    """A video's page as read; `author_id` is raw and never leaves the parsing process."""

    video_id: str
    page_url: str
    """The public address of the page, for people."""
    title: str
    tags: tuple[str, ...] = ()
    language: str | None = None
    published_at_ms: int | None = None
    duration_s: float | None = None
    like_count: int | None = None
    view_count: int | None = None
    comment_count: int | None = None
    author_id: str | None = None
    media: tuple[MediaLink, ...] = ()
    refusal: str | None = None
    related: tuple[VideoLink, ...] = ()
    related_url: str | None = None


class ParsedComment(NamedTuple):
    """One comment as read; `user_id` is raw and never leaves the parsing process.

    A tuple, since a crawl makes a billion of them.
    """

    comment_id: str
    user_id: str
    text: str
    commented_at_ms: int
    gender: str | None = None


@dataclass(frozen=True, slots=True)
class CommentPage:
    comments: tuple[ParsedComment, ...]
    next_urls: tuple[str, ...] = ()
    """Asked for in this order, before whatever was already waiting."""
    total: int | None = None
    """How many comments the video has at this moment, answers included, if this answer says so."""


class Platform(Protocol):
    """One site (or one kind of site with many instances).

    An adapter may say besides `newest_first = True`: the list of comments begins with the newest. Where `total` is
    told as well, a re-crawl stops at the newest known comment; without either it reads the whole list again.
    """

    name: str

    def home_url(self, instance: str, refresh: int) -> str: ...
    def parse_home(self, page: Page) -> HomePage: ...
    def parse_video(self, page: Page) -> ParsedVideo: ...
    def parse_related(self, page: Page) -> tuple[VideoLink, ...]: ...
    def comments_url(self, page_request_url: str, video_id: str) -> str:
        """`page_request_url` is the URL that `parse_video` was given the answer of."""
        ...

    def parse_comments(self, page: Page) -> CommentPage: ...


def choose_media(links: Iterable[MediaLink], kind: AssetKind, *, max_height: int) -> MediaLink | None:
    """The tallest rendition not above `max_height`; else the smallest there is; None if the kind is not offered."""
    offered = [link for link in links if link.kind == kind]
    fitting = [link for link in offered if (link.height or 0) <= max_height]
    if fitting:
        return max(fitting, key=lambda link: (link.height or 0, link.url))
    return min(offered, key=lambda link: (link.height or 0, link.url), default=None)


def page_changed(page: Page, missing: str, found: Iterable[str] = ()) -> PageChangedError:
    """The error for a page whose shape is not what the adapter knows."""
    seen = f"; it has {sorted(found)}" if found else ""
    return PageChangedError(
        f"no {missing} in the answer of {page.url}{seen}",
        hint="the site has changed: save the answer beside the adapter's tests and mend the adapter",
    )

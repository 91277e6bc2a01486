"""What an adapter must tell of its site. Adapters parse bytes that somebody else fetched; they do no I/O.

Every page a stage asks for has one URL that the adapter spells and one answer that the adapter reads:

    home_url(instance, n)      -> parse_home      -> HomePage      links to videos
    VideoLink.url              -> parse_video     -> ParsedVideo   one video, its media, its related links
    ParsedVideo.related_url    -> parse_related   -> links         only where the page itself has none
    ParsedVideo.captions_url   -> parse_captions  -> captions      only where the recipe asks for them
    comments_url(instance, id) -> parse_comments  -> CommentPage   comments, and the URLs to ask for next

A mandatory field that is missing raises PageChangedError; an optional one is None.

A site whose requests cannot be spelled beforehand has the second form, AskingPlatform: each of its methods is handed
a blocking `ask` beside the page's URL, and runs in a thread. It does no I/O either: whoever runs it answers each
question within the host's budget and robots.txt, or not at all (docs/adr/0014-adapters-that-ask.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard, TypeVar

from microlens.errors import PageChangedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from microlens.outcomes import Refusal
    from microlens.records import AssetKind, Caption, MediaLink, Rendition


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
    origin_url: str | None = None
    """Where a site federates: the same page on the instance that the video comes from."""


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
    category: str | None = None
    """One word of the site's own list, as people see it."""
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
    captions: tuple[Caption, ...] | None = None
    """None where the page does not tell, () where it tells that there are none."""
    captions_url: str | None = None


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
    has_global_ids: bool
    """Whether videos, users and comments have the same ids on every instance; if not (or if an adapter does not say),
    a recipe with several instances puts the instance before them (microlens.platforms.instance_ids)."""

    def home_url(self, instance: str, refresh: int) -> str: ...
    def parse_home(self, page: Page) -> HomePage: ...
    def parse_video(self, page: Page) -> ParsedVideo: ...
    def parse_related(self, page: Page) -> tuple[VideoLink, ...]: ...
    def parse_captions(self, page: Page, /) -> tuple[Caption, ...]:
        """Asked for only where a video has a `captions_url`."""
        ...

    def comments_url(self, page_request_url: str, video_id: str) -> str:
        """`page_request_url` is the URL that `parse_video` was given the answer of."""
        ...

    def parse_comments(self, page: Page) -> CommentPage: ...


@dataclass(frozen=True, slots=True)
class Question:
    """A request that an adapter wants made. Who we are and what the connection can do is said by whoever makes it."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came back, whatever its status, whole, in memory."""

    url: str
    """Where it came from, after redirects."""
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


Ask = Callable[[Question], Answer]
"""Blocks until the answer is there; raises NoAnswerError where there is none."""


class NoAnswerError(Exception):
    """`ask` has no answer: robots.txt forbids it, the host is silent, the crawl ends. Something else may be asked."""


class UnavailableError(Exception):
    """The site does not give what was asked for, and says why; never leaves a stage."""

    def __init__(self, refusal: Refusal, *, answer: Answer | None = None) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.answer = answer
        """The answer that says so, where it is one answer's status."""


class AskingPlatform(Protocol):
    """A site whose adapter asks while it reads; UnavailableError where the site refuses.

    Its ids are the same whatever instance they are seen on.
    """

    name: str

    def check_instances(self, instances: Iterable[str]) -> None:
        """RecipeError for one that this adapter cannot read."""
        ...

    def home_url(self, instance: str, refresh: int) -> str:
        """Tells `ask_home` everything, and by its host whose budget it is."""
        ...

    def comments_url(self, page_request_url: str, video_id: str) -> str: ...
    def ask_home(self, url: str, ask: Ask) -> HomePage: ...
    def ask_video(self, link: VideoLink, ask: Ask) -> ParsedVideo:
        """A video whose `video_id` is the link's."""
        ...

    def ask_comments(self, url: str, ask: Ask, *, limit: int) -> tuple[ParsedComment, ...]:
        """Give up to `limit` comments, replies included."""
        ...


def is_asking(platform: Platform | AskingPlatform) -> TypeGuard[AskingPlatform]:
    """Whether a platform is of the form that asks; the other form parses."""
    return hasattr(platform, "ask_video")


class Offered(Protocol):
    """One of several renditions of the same."""

    @property
    def url(self) -> str: ...
    @property
    def height(self) -> int | None: ...
    @property
    def size_bytes(self) -> int | None: ...


_Of = TypeVar("_Of", bound=Offered)


def choose_media(
    links: Iterable[MediaLink], kind: AssetKind, *, max_height: int, rendition: Rendition = "max_height"
) -> MediaLink | None:
    """The rendition that a recipe asks for, None if the kind is not offered; a playlist only where there is no file."""
    offered = [link for link in links if link.kind == kind]
    files = [link for link in offered if link.format == "file"]
    return choose_rendition(files or offered, max_height=max_height, rendition=rendition)


def choose_rendition(offered: Sequence[_Of], *, max_height: int, rendition: Rendition) -> _Of | None:
    """Choose by height, where a height that nobody told counts as the least.

    `max_height`: the tallest not above it, else the lowest there is; `best`: the tallest, and of equals the one of most
    bytes; `smallest`: the one of fewest bytes where all tell them, else the lowest whose height is known.
    """
    if rendition == "best":
        return max(offered, key=lambda one: (one.height or 0, one.size_bytes or 0, one.url), default=None)
    if rendition == "smallest":
        if all(one.size_bytes is not None for one in offered):
            return min(offered, key=lambda one: (one.size_bytes or 0, one.height or 0, one.url), default=None)
        return min(offered, key=lambda one: (one.height is None, one.height or 0, one.url), default=None)
    fitting = [one for one in offered if (one.height or 0) <= max_height]
    if fitting:
        return max(fitting, key=lambda one: (one.height or 0, one.url))
    return min(offered, key=lambda one: (one.height or 0, one.url), default=None)


def page_changed(page: Page, missing: str, found: Iterable[str] = ()) -> PageChangedError:
    """The error for a page whose shape is not what the adapter knows."""
    seen = f"; it has {sorted(found)}" if found else ""
    return PageChangedError(
        f"no {missing} in the answer of {page.url}{seen}",
        hint="the site has changed: save the answer beside the adapter's tests and mend the adapter",
    )

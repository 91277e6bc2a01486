"""What a YAML file for the `selectors` platform may say; docs/adding-a-platform.md shows how.

Three things are said by the same few words everywhere:

    a query     where a value stands: CSS, XPath or JSON path (microlens.platforms.queries)
    a pick      a query; a list of them, the first that finds something counts; or `{select: ..., pattern: ...}`,
                where the pattern's group (or all it matches) is taken out of the text that was found
    a template  an address with gaps: `{origin}/v/{video_id}` (microlens.platforms.templates)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from microlens.errors import RecipeError
from microlens.explain import explain
from microlens.platforms.queries import Query
from microlens.platforms.templates import gaps_of, template_of
from microlens.records import MediaFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_HINT = "see docs/adding-a-platform.md"

COUNTERS = frozenset({"page", "offset"})
"""Gaps that count on from page to page."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        empty = [key for key, inner in value.items() if inner is None] if isinstance(value, dict) else []
        if empty:
            raise ValueError(f"{empty[0]!r} says nothing; in YAML a selector that begins with # must stand in quotes")
        return value


def _compile(pattern: Any) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if compiled.groups > 1:
        raise ValueError(f"it has {compiled.groups} groups; at most one can be taken: write the others as (?:...)")
    return compiled


Pattern = Annotated[re.Pattern[str], PlainValidator(_compile)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class Pick(_Section):
    """Where a value stands."""

    select: Annotated[tuple[Query, ...], BeforeValidator(_as_list)] = Field(min_length=1)
    pattern: Pattern | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"select": value}


class Rows(_Section):
    """A list on a page; its picks look within one row."""

    of_page: ClassVar[frozenset[str]] = frozenset()
    """Keys that look at the page all the same."""

    rows: Query | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        """JSON paths find nothing in an element, nor selectors in JSON."""
        if self.rows is None:
            return self
        for name, query in _queries(self):
            if query.is_json is not self.rows.is_json:
                kind = "a JSON path (it begins with $)" if self.rows.is_json else "a CSS selector or an XPath"
                raise ValueError(f"rows are {self.rows.text!r}, so {name} {query.text!r} must be {kind} too")
        return self


class Links(Rows):
    """Links to videos; a row is an element with an address, or a JSON row."""

    rows: Query
    url: Pick | None = None
    """The video's page; the row's own address if absent."""
    url_template: Annotated[str, template_of("origin", "video_id")] | None = None
    """Makes the address of the id, where the list has none."""
    video_id: Pick | None = None
    """By `id_pattern` from the address if absent."""
    refuse: dict[Word, Pick] = {}

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {"rows": value}

    @model_validator(mode="after")
    def _template_needs_id(self) -> Self:
        if self.url_template is not None and self.video_id is None:
            raise ValueError("url_template needs video_id beside it")
        return self


class MediaRule(Rows):
    """Files of one kind: each match of `url`; or one for each row."""

    url: Pick
    height: Pick | None = None
    size_bytes: Pick | None = None
    expires_at: Pick | None = None
    """When the link ends, where its own address does not tell (microlens.platforms.link_expiry)."""
    format: MediaFormat = "file"
    """`hls`: what the address leads to is a playlist (m3u8)."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, dict) and "select" not in value else {"url": value}

    @model_validator(mode="after")
    def _rows_for_heights(self) -> Self:
        if self.rows is None and (self.height or self.size_bytes or self.expires_at):
            raise ValueError(
                "height, size_bytes and expires_at belong to a file: say with `rows` what holds the url and them"
            )
        return self


class Home(_Section):
    """The page that is refreshed for new videos."""

    url: Annotated[str, template_of("instance", "refresh", "page", "offset")]
    """{refresh} counts from 0, {page} from `first_page`, {offset} in steps of `per_page`."""
    links: Links
    is_last: Pick | None = None
    empty_is_last: bool = False
    """A page without links ends the list; else it is a changed page."""
    first_page: int = 1
    per_page: int = Field(default=20, ge=1)
    json_from: Pick | None = None


class Video(_Section):
    """A video's own page; what is absent is looked for in schema.org's VideoObject, then in OpenGraph."""

    video_id: Pick | None = None
    page_url: Pick | None = None
    title: Pick | None = None
    tags: Pick | None = None
    category: Pick | None = None
    language: Pick | None = None
    published_at: Pick | None = None
    duration: Pick | None = None
    like_count: Pick | None = None
    view_count: Pick | None = None
    comment_count: Pick | None = None
    author_id: Pick | None = None
    cover: MediaRule | None = None
    video: MediaRule | None = None
    audio: MediaRule | None = None
    refuse: dict[Word, Pick] = {}
    """A reason's word, and what shows that it holds: an element, or a JSON value that is not false, 0 or empty."""
    json_from: Pick | None = None
    """The text that holds the page's JSON, where that is not the whole answer (`script#__NEXT_DATA__`)."""


class Related(_Section):
    links: Links
    url: Annotated[str, template_of("origin", "video_id")] | None = None
    """Where the list is, if it is not on the video's page."""
    json_from: Pick | None = None


class Comments(Rows):
    of_page = frozenset({"cursor", "is_last", "json_from", "total"})

    within: Query | None = None
    """An element that every page has, with comments or without: its absence is a changed page, not an end."""
    rows: Query
    url: Annotated[str, template_of("origin", "video_id", "cursor", "page", "offset")]
    next_url: Annotated[str, template_of("origin", "video_id", "cursor", "page", "offset")] | None = None
    """Of all pages but the first, where it is another."""
    id: Pick
    user_id: Pick
    text: Pick
    at: Pick
    gender: Pick | None = None
    skip: Pick | None = None
    """Rows that are no comments: what was deleted keeps its place in many lists."""
    cursor: Pick | None = None
    """What {cursor} is on the next page; looked for on the page, not in a row."""
    is_last: Pick | None = None
    total: Pick | None = None
    """How many comments the video has, to the last one, answers included; looked for on the page, not in a row."""
    newest_first: bool = False
    """The list begins with the newest; with `total`, a re-crawl stops at the newest known comment."""
    first_page: int = 1
    per_page: int = Field(default=20, ge=1)
    json_from: Pick | None = None

    @property
    def following_url(self) -> str:
        return self.next_url or self.url

    @model_validator(mode="after")
    def _cursor_on_both_sides(self) -> Self:
        gaps = gaps_of(self.following_url)
        if ("cursor" in gaps) is not (self.cursor is not None):
            raise ValueError(
                "{cursor} in next_url (or url) and the key `cursor`, which says where it stands, go together"
            )
        unknown = gaps - gaps_of(self.url) - {"cursor", *COUNTERS}
        if unknown:
            raise ValueError(f"next_url has {{{min(unknown)}}}, which cannot be read back from url: {self.url!r}")
        return self


class Site(_Section):
    """The whole file."""

    id_pattern: Pattern | None = None
    """Finds a video's id in its page's address; an address without it is no video's."""
    has_global_ids: bool = False
    """Ids of videos, users and comments are the same on every instance (a federation); else a recipe with
    several instances puts the instance before each."""
    home: Home
    video: Video = Video()
    related: Related | None = None
    comments: Comments

    @model_validator(mode="after")
    def _ids_come_from_somewhere(self) -> Self:
        lists = {"home": self.home.links, **({"related": self.related.links} if self.related else {})}
        for name, links in lists.items():
            if self.id_pattern is None and links.video_id is None:
                raise ValueError(f"say where a video's id is: either id_pattern or {name}.links.video_id")
        return self


def check_site(options: Mapping[str, Any], *, source: str = "platform_options") -> Site:
    """Check what a file holds; RecipeError names every wrong key, the value, and the nearest valid key."""
    try:
        return Site.model_validate(dict(options))
    except ValidationError as error:
        lines = "\n  ".join(explain(error, Site))
        raise RecipeError(f"{source} cannot be used:\n  {lines}", hint=_HINT) from error


def read_site(path: Path) -> dict[str, Any]:
    """Read a file and check it; what it says is given as plain data, as a recipe keeps it."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else f"it is not UTF-8 ({error})"
        raise RecipeError(f"the platform file {path} cannot be read: {cause}", hint=_HINT) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {error}", hint=_HINT) from error
    if not isinstance(raw, dict):
        raise RecipeError(f"{path} holds a {type(raw).__name__}, not a table of keys", hint=_HINT)
    check_site(raw, source=str(path))
    return raw


def _queries(section: Rows) -> Iterable[tuple[str, Any]]:
    """The queries that look within a row, with the names of their keys."""
    for name in type(section).model_fields.keys() - section.of_page:
        value = getattr(section, name)
        for pick in [value] if isinstance(value, Pick) else value.values() if isinstance(value, dict) else []:
            yield from ((name, query) for query in pick.select)

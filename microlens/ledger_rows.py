"""What the ledger commits and gives back, and how each stands in its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from microlens.platforms.base import VideoLink
from microlens.records import AssetRecord, MediaLink, Stage, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa

    from microlens.records import AssetKind


@dataclass(frozen=True, slots=True)
class Home:
    """A committed refresh of an instance's home page."""

    instance: str
    refresh: int
    links: tuple[VideoLink, ...]
    is_last: bool


@dataclass(frozen=True, slots=True)
class PageRow:
    """A committed visit of a video's page; `failure` is its reason where there was nothing to read."""

    video_id: str
    url: str
    failure: str | None = None
    title: str | None = None
    like_count: int | None = None
    comment_count: int | None = None
    category: str | None = None
    language: str | None = None
    refusal: str | None = None
    media: tuple[MediaLink, ...] = ()
    related: tuple[VideoLink, ...] = ()
    """The links drawn from the page, not all that it shows."""


_PLAIN = tuple(name for name in PageRow.__slots__ if name not in {"media", "related"})
"""What stands in the table as it is."""


@dataclass(frozen=True, slots=True)
class Selected:
    """A video that belongs to the crawl."""

    video_id: str
    stage: Stage
    found_from: str | None
    depth: int
    """Steps from a seed: 0 for seeds."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An asset, and its file."""

    video_id: str
    kind: AssetKind
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a reader of the crawl's commits has come."""

    home: int = 0
    page: int = 0


PART_KINDS = ("videos", "comments", "texts")
"""What nodes write: each kind lies in a folder of its own below crawled/."""


@dataclass(frozen=True, slots=True)
class Part:
    """A finished Parquet file under the run's folder."""

    part_id: str
    kind: str
    path: str
    rows: int
    sha256: str
    kept_at: str = field(default="", compare=False)
    """In whose folder, or in which bucket (microlens.keeping); empty until it is in a bucket, or committed."""
    beside: str | None = None
    """Of texts: id of the part that holds their comments."""


def page_to_sql(page: PageRow, part: Part | None) -> dict[str, Any]:
    """A visit as its table has it, `visited_at_ms` aside; the part is that of its record."""
    row = fields_of(page)
    row["media"] = orjson.dumps(page.media).decode()
    row["related"] = links_to_sql(page.related)
    row["part_id"] = part.part_id if part and page.failure is None else None
    return row


def links_to_sql(links: Iterable[VideoLink]) -> str:
    """Without what a link does not say: millions of them are kept."""
    told = [{name: value for name, value in fields_of(link).items() if value is not None} for link in links]
    return orjson.dumps(told).decode()


def home_from_sql(row: sa.RowMapping) -> Home:
    links = tuple(VideoLink(**link) for link in orjson.loads(row["links"]))
    return Home(row["instance"], row["refresh"], links, row["is_last"])


def page_from_sql(row: dict[str, Any]) -> PageRow:
    return PageRow(
        **{name: row[name] for name in _PLAIN},
        media=tuple(MediaLink(**link) for link in orjson.loads(row["media"])),
        related=tuple(VideoLink(**link) for link in orjson.loads(row.get("related", "[]"))),
    )


def asset_to_sql(asset: AssetRecord) -> dict[str, Any]:
    """A stored file as its table has it, the node and its time aside; a ledger is of one platform."""
    row = fields_of(asset)
    del row["platform"]
    row["frame_hashes"] = ",".join(asset.frame_hashes)
    return row


def asset_from_sql(row: dict[str, Any]) -> dict[str, Any]:
    """Such a row, its hashes as a tuple again."""
    return {**row, "frame_hashes": tuple(filter(None, row["frame_hashes"].split(",")))}


def asset_of(row: dict[str, Any], platform: str) -> AssetRecord:
    """The record of a row of `asset_from_sql`."""
    told = {name: row[name] for name in AssetRecord.__slots__ if name in row}
    return AssetRecord(platform=platform, **told)

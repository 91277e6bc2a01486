"""Frozen records that cross a stage boundary; the unit stands in the name.

Raw user ids are in none of them: a parser's `ParsedVideo` and `ParsedComment` (microlens.platforms.base)
are turned into these by the process that parsed, with microlens.privacy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["seed", "related"]
AssetKind = Literal["cover", "audio", "video"]
Origin = Literal["fetched", "extracted"]
"""An extracted sound was taken from its video's file by a node; the site has no file of its own for it."""
MediaFormat = Literal["file", "hls"]
"""What lies at a media link: the file itself, or an HLS playlist (RFC 8216) of its pieces."""
Rendition = Literal["max_height", "smallest", "best"]
WorkKind = Literal["page", "visit", "links", "media", "comments"]
"""`page`: of the first crawl; `visit`: a known video's page, read again; `links`: the same for media links alone."""

ASSET_KINDS: tuple[AssetKind, ...] = ("cover", "audio", "video")

_LIKE_REFRESHED = re.compile(r"@\d+\Z", re.ASCII)


def fields_of(record: Any) -> dict[str, Any]:
    """A record's fields by name, as they are: `dataclasses.asdict` would copy everything below them as well."""
    return {name: getattr(record, name) for name in record.__slots__}


@dataclass(frozen=True, slots=True)
class MediaLink:
    """Where one asset of a video can be fetched."""

    kind: AssetKind
    url: str
    height: int | None = None
    """Pixels; None for covers, audio, or where the site does not say."""
    size_bytes: int | None = None
    """As declared by the site."""
    expires_at_ms: int | None = None
    """When the site stops answering it, milliseconds since 1970; None where neither page nor address tells."""
    format: MediaFormat = "file"


@dataclass(frozen=True, slots=True)
class Caption:
    """Where the captions of a video in one language can be fetched."""

    language: str
    """BCP 47, as the site says."""
    url: str
    is_generated: bool | None = None
    """Written by a machine; None where the site does not say."""


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One visit to one video's page."""

    platform: str
    video_id: str
    page_url: str
    title: str
    tags: tuple[str, ...]
    category: str | None
    """As the site names it."""
    language: str | None
    published_at_ms: int | None
    duration_s: float | None
    like_count: int | None
    view_count: int | None
    comment_count: int | None
    author_key: bytes | None
    """Keyed pseudonym of the author, 16 bytes (microlens.privacy)."""
    media: tuple[MediaLink, ...]
    captions: tuple[Caption, ...] | None
    """None where nobody asked, or the site does not tell."""
    refusal: str | None
    """Why the site's owner does not want its media taken (`download_disabled`, `sensitive`), or None."""
    crawled_at_ms: int


@dataclass(frozen=True, slots=True)
class FrontierItem:
    """One piece of work: a page to crawl, an asset to fetch, a video's comments to collect."""

    kind: WorkKind
    name: str
    """Unique within its kind: the same name pushed twice is one item."""
    url: str
    """The first (for media: the only) URL that the work asks for; its host decides when the item is due."""
    payload: dict[str, Any]
    priority: int = 0
    """Smaller is sooner, within one host."""
    attempt: int = 0
    """Tries that failed so far."""


def refreshed(video_id: str, refresh: int) -> str:
    """What a video's work is called in a refresh; in the first crawl (0) by the video's id alone.

    No two videos and refreshes share a name, whatever ids a site chooses: an id that ends as such a name does
    is never left bare.
    """
    return video_id if refresh == 0 and not _LIKE_REFRESHED.search(video_id) else f"{video_id}@{refresh}"


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """One stored file and what its bytes tell: numbers, not verdicts."""

    platform: str
    video_id: str
    kind: AssetKind
    sha256: str
    size_bytes: int
    mime: str
    origin: Origin = "fetched"
    url_key: bytes | None = None
    """16-byte digest of the canonical URL that it was fetched from; None for what was extracted."""
    kept_at: str | None = field(default=None, compare=False)
    """Who keeps the file (microlens.keeping), where that is known: what is taken over from another item stays there."""
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    fps: float | None = None
    container: str | None = None
    """As FFmpeg names its format: `mov` (MP4 as well), `matroska` (WebM as well), `mpegts`, `ogg`; None for covers."""
    stream_count: int | None = None
    """All streams of the container: pictures, sounds, subtitles and data."""
    codecs: str | None = None
    """Comma-separated, video first, as FFmpeg names them."""
    phash: str | None = None
    """64 hexadecimal digits: perceptual hash of the cover or of the middle frame (download_nodes.fingerprint).

    None where a picture is too flat to have one.
    """
    frame_hashes: tuple[str, ...] = ()
    """Videos: hashes like `phash` of up to 16 frames that stand for it (download_nodes.frames), in order of time."""
    dominant_share: float | None = None
    """Covers: share of the thumbnail's pixels that lie near its commonest colour (0 to 1)."""
    first_decodes: bool | None = None
    """Videos: the first frame can be decoded."""
    middle_decodes: bool | None = None
    """Videos: a frame at half time can be decoded."""
    last_decodes: bool | None = None
    """Videos: the frames at the end can be decoded, and nothing is cut off."""
    is_decodable: bool | None = None
    error: str | None = None
    """snake_case word: why it is not decodable (download_nodes.probe); None where it is."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that did not succeed."""

    work: WorkKind
    name: str
    platform: str
    video_id: str
    url: str
    reason: str
    """snake_case word: `gone`, `timeout`, `robots` ..."""
    http_status: int | None
    attempt: int
    is_final: bool
    """No further attempt is made unless it is asked for."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Kept or dropped, and what decided it."""

    video_id: str
    is_kept: bool
    reason: str | None = None
    """snake_case word; None when kept."""
    filter: str | None = None
    measured: float | None = None
    threshold: float | None = None
    detail: str | None = None
    """What `measured` cannot say: the category or language, a word for why a file does not decode."""
    twin_of: str | None = None
    """Of a duplicate: the video_id of the copy that is kept."""

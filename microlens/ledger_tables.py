"""The ledger's SQL tables.

run         one row: platform, recipe, seed, key fingerprint
home        a committed refresh of the home page and the links it showed
page        the first crawl's committed visit of a video's page, and the related links drawn from it
selection   a video that belongs to the crawl, with its stage: seed or related
expired     an asset whose link had run out, and the reading of its page that gave it another
fresh       a known video's page, read again for fresh media links and for nothing else
asset       a stored file and its measurements
refresh     a re-crawl of known videos: which of them, and whether it is finished
visit       a refresh's committed visit of a known video's page
collected   a complete reading of a video's comments: all that there were, or those that had come since the last
stage       a stage that has nothing left to do (`crawl`)
part        a finished Parquet file; integration reads no other
failure     every attempt that did not succeed (append only)
robots      every fetch of a robots.txt: what a host allowed, and when (append only)
robots_text what those said, each text once
parking     a time for which a host that gave no answer was left alone
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = 6
"""Raise it with every change of a table, or of what parts hold: a ledger of another version is refused when opened."""

metadata = sa.MetaData()

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite counts up only what is called INTEGER; its integers are of 64 bits in any case."""

run_table = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("recipe", sa.Text, nullable=False),
    sa.Column("recipe_sha256", sa.String, nullable=False),
    sa.Column("key_fingerprint", sa.String, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
)
home_table = sa.Table(
    "home",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("refresh", sa.Integer, nullable=False),
    sa.Column("links", sa.Text, nullable=False),
    sa.Column("is_last", sa.Boolean, nullable=False),
    sa.Column("committer", sa.String, nullable=False),
    sa.UniqueConstraint("instance", "refresh"),
    sqlite_autoincrement=True,
)


def _told_by_a_page() -> list[sa.Column[Any]]:
    """The columns of a visit, the first as any later one."""
    return [
        sa.Column("url", sa.String, nullable=False),
        sa.Column("failure", sa.String),
        sa.Column("title", sa.Text),
        sa.Column("like_count", sa.BigInteger),
        sa.Column("comment_count", sa.BigInteger),
        sa.Column("category", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("refusal", sa.String),
        sa.Column("media", sa.Text, nullable=False),
        sa.Column("part_id", sa.String),
        sa.Column("visited_at_ms", sa.BigInteger, nullable=False),
    ]


page_table = sa.Table(
    "page",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("video_id", sa.String, nullable=False, unique=True),
    *_told_by_a_page(),
    sa.Column("related", sa.Text, nullable=False),
    sa.Column("committer", sa.String, nullable=False),
    sqlite_autoincrement=True,
)
refresh_table = sa.Table(
    "refresh",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("started_at_ms", sa.BigInteger, nullable=False),
    sa.Column("finished_at_ms", sa.BigInteger),
)
visit_table = sa.Table(
    "visit",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("video_id", sa.String, nullable=False),
    sa.Column("refresh", sa.Integer, nullable=False),
    *_told_by_a_page(),
    sa.UniqueConstraint("video_id", "refresh"),
    sqlite_autoincrement=True,
)
selection_table = sa.Table(
    "selection",
    metadata,
    sa.Column("video_id", sa.String, primary_key=True),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("found_from", sa.String),
    sa.Column("depth", sa.Integer, nullable=False),
)
expired_table = sa.Table(
    "expired",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("video_id", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("link", sa.Integer, nullable=False),  # how many fresh links the asset had been given by then
    sa.Column("fresh", sa.BigInteger, index=True),  # the reading that answers it; null while one is wanted
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("expired_at_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("video_id", "kind", "link"),
    sqlite_autoincrement=True,
)
fresh_table = sa.Table(
    "fresh",
    metadata,
    sa.Column("seq", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("video_id", sa.String, nullable=False, index=True),
    sa.Column("media", sa.Text, nullable=False),
    sa.Column("failure", sa.String),
    sa.Column("read_at_ms", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
asset_table = sa.Table(
    "asset",
    metadata,
    sa.Column("video_id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("mime", sa.String, nullable=False),
    sa.Column("origin", sa.String, nullable=False),
    sa.Column("url_key", sa.LargeBinary(16), index=True),
    sa.Column("width", sa.BigInteger),
    sa.Column("height", sa.BigInteger),
    sa.Column("duration_s", sa.Float),
    sa.Column("fps", sa.Float),
    sa.Column("container", sa.String),
    sa.Column("stream_count", sa.BigInteger),
    sa.Column("codecs", sa.String),
    sa.Column("phash", sa.String),
    sa.Column("frame_hashes", sa.Text, nullable=False),
    sa.Column("dominant_share", sa.Float),
    sa.Column("first_decodes", sa.Boolean),
    sa.Column("middle_decodes", sa.Boolean),
    sa.Column("last_decodes", sa.Boolean),
    sa.Column("is_decodable", sa.Boolean),
    sa.Column("error", sa.String),
    sa.Column("node_id", sa.String, nullable=False),
    sa.Column("kept_at", sa.String, nullable=False),  # microlens.keeping
    sa.Column("fetched_at_ms", sa.BigInteger, nullable=False),
)
collected_table = sa.Table(
    "collected",
    metadata,
    sa.Column("video_id", sa.String, primary_key=True),
    sa.Column("refresh", sa.Integer, primary_key=True),
    sa.Column("comments", sa.BigInteger, nullable=False),
    sa.Column("is_full", sa.Boolean, nullable=False),
    sa.Column("declared", sa.BigInteger),
    sa.Column("part_id", sa.String),
)
stage_table = sa.Table(
    "stage",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("finished_at_ms", sa.BigInteger, nullable=False),
)
part_table = sa.Table(
    "part",
    metadata,
    sa.Column("part_id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("beside", sa.String),  # of texts: the part that holds their comments
    sa.Column("path", sa.String, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("node_id", sa.String, nullable=False),
    sa.Column("kept_at", sa.String, nullable=False),
)
failure_table = sa.Table(
    "failure",
    metadata,
    sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("work", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False, index=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("video_id", sa.String, nullable=False),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("http_status", sa.Integer),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("is_final", sa.Boolean, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("node_id", sa.String, nullable=False),
    sa.Column("failed_at_ms", sa.BigInteger, nullable=False),
)
robots_table = sa.Table(
    "robots",
    metadata,
    sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("host", sa.String, nullable=False, index=True),
    sa.Column("fetched_at_ms", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("failure", sa.String),
    sa.Column("lifetime_s", sa.Float, nullable=False),
    sa.Column("crawl_delay_s", sa.Float, nullable=False),
    sa.Column("sha256", sa.String),
    sa.Column("node_id", sa.String, nullable=False),
)
robots_text_table = sa.Table(
    "robots_text",
    metadata,
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
parking_table = sa.Table(
    "parking",
    metadata,
    sa.Column("id", _ROW_NUMBER, primary_key=True, autoincrement=True),
    sa.Column("host", sa.String, nullable=False, index=True),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("parked_at_ms", sa.BigInteger, nullable=False),
    sa.Column("until_ms", sa.BigInteger, nullable=False),
    sa.Column("ended_at_ms", sa.BigInteger),
    sa.Column("node_id", sa.String, nullable=False),
)

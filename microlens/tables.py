"""The Arrow schema of every Parquet table, with a description of every column."""

from __future__ import annotations

import pyarrow as pa


def _column(name: str, kind: pa.DataType, text: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": text})


_MEDIA_LINK = pa.struct(
    [
        ("kind", pa.string()),
        ("url", pa.string()),
        ("height", pa.int32()),
        ("size_bytes", pa.int64()),
        ("expires_at_ms", pa.int64()),
        ("format", pa.string()),
    ]
)

_CAPTION = pa.struct([("language", pa.string()), ("url", pa.string()), ("is_generated", pa.bool_())])

CRAWLED_VIDEOS = pa.schema(
    [
        _column("platform", pa.string(), "name of the adapter", nullable=False),
        _column("video_id", pa.string(), "the platform's own id", nullable=False),
        _column("page_url", pa.string(), "public address of the video's page", nullable=False),
        _column("title", pa.string(), "as the site shows it; hostile text", nullable=False),
        _column("tags", pa.list_(pa.string()), "as the site shows them", nullable=False),
        _column("category", pa.string(), "as the site names it"),
        _column("language", pa.string(), "BCP 47, as the site says"),
        _column("published_at_ms", pa.int64(), "milliseconds since 1970, UTC"),
        _column("duration_s", pa.float64(), "seconds, as the site says"),
        _column("like_count", pa.int64(), "at the time of the visit"),
        _column("view_count", pa.int64(), "at the time of the visit"),
        _column("comment_count", pa.int64(), "at the time of the visit"),
        _column("author_key", pa.binary(16), "keyed pseudonym of the author"),
        _column(
            "media",
            pa.list_(_MEDIA_LINK),
            "where the assets can be fetched, and until when, as far as is told",
            nullable=False,
        ),
        _column("captions", pa.list_(_CAPTION), "where captions can be fetched; null where nobody asked"),
        _column("refusal", pa.string(), "why the owner does not want the media taken"),
        _column("crawled_at_ms", pa.int64(), "time of the visit, milliseconds since 1970", nullable=False),
    ]
)

CRAWLED_COMMENTS = pa.schema(
    [
        _column("video_id", pa.string(), "the platform's own id", nullable=False),
        _column("comment_id", pa.int64(), "keyed pseudonym of the comment's own id", nullable=False),
        _column("user_key", pa.binary(16), "keyed pseudonym of the author", nullable=False),
        _column("commented_at_ms", pa.int64(), "milliseconds since 1970, UTC", nullable=False),
    ]
)

CRAWLED_TEXTS = pa.schema(
    [
        _column("video_id", pa.string(), "the platform's own id", nullable=False),
        _column("comment_id", pa.int64(), "as in crawled comments", nullable=False),
        _column("text", pa.string(), "scrubbed or raw, as the recipe says"),
        _column("gender", pa.string(), "of the author, where public and asked for"),
        _column("user_key", pa.binary(16), "keyed pseudonym of the author where a gender is told: it is the author's"),
    ]
)

MEASUREMENTS = pa.schema(
    [
        _column("video_id", pa.string(), "the platform's own id", nullable=False),
        _column("kind", pa.string(), "cover, audio or video", nullable=False),
        _column("sha256", pa.string(), "of the stored bytes", nullable=False),
        _column("size_bytes", pa.int64(), "of the stored file", nullable=False),
        _column("mime", pa.string(), "by content", nullable=False),
        _column("origin", pa.string(), "fetched, or extracted from the video's file", nullable=False),
        _column("width", pa.int32(), "pixels"),
        _column("height", pa.int32(), "pixels"),
        _column("duration_s", pa.float64(), "seconds, as the container says"),
        _column("fps", pa.float64(), "frames per second"),
        _column("container", pa.string(), "as FFmpeg names its format"),
        _column("stream_count", pa.int32(), "streams of every kind"),
        _column("codecs", pa.string(), "as FFmpeg names them"),
        _column("phash", pa.string(), "256-bit perceptual hash, hexadecimal; null for a flat picture"),
        _column("frame_hashes", pa.list_(pa.string()), "of up to 16 frames, in order of time; flat ones left out"),
        _column("dominant_share", pa.float64(), "share of a cover's pixels near its commonest colour"),
        _column("first_decodes", pa.bool_(), "a video's first frame"),
        _column("middle_decodes", pa.bool_(), "a video's frame at half time"),
        _column("last_decodes", pa.bool_(), "a video's last frames, and nothing is cut off"),
        _column("is_decodable", pa.bool_(), "first, middle and last frame decode"),
        _column("error", pa.string(), "why it is not decodable"),
    ]
)

VERDICTS = pa.schema(
    [
        _column("video_id", pa.string(), "the platform's own id", nullable=False),
        _column("is_kept", pa.bool_(), "passes every filter", nullable=False),
        _column("reason", pa.string(), "snake_case word, null when kept"),
        _column("filter", pa.string(), "which filter dropped it"),
        _column("measured", pa.float64(), "what the filter looked at"),
        _column("threshold", pa.float64(), "what it was held against"),
        _column("detail", pa.string(), "what `measured` cannot say: category, language, why a file does not decode"),
        _column("twin_of", pa.string(), "of a duplicate: video_id of the copy that is kept"),
    ]
)

ITEMS = pa.schema(
    [
        _column("item_id", pa.int32(), "from 1; 0 is padding", nullable=False),
        _column("title", pa.string(), "as the site shows it; hostile text; empty where none is told", nullable=False),
        _column("tags", pa.list_(pa.string()), "as the site shows them", nullable=False),
        _column("category", pa.string(), "as the site names it"),
        _column("language", pa.string(), "BCP 47, as the site says"),
        _column("duration_s", pa.float64(), "seconds: measured, or else as the site says"),
        _column("published_at_ms", pa.int64(), "milliseconds since 1970, UTC"),
        _column("like_count", pa.int64(), "at the time of the crawl"),
        _column("view_count", pa.int64(), "at the time of the crawl"),
        _column("comment_count", pa.int64(), "at the time of the crawl"),
        _column("has_more_likes_than_views", pa.bool_(), "one of the two counts is wrong; null where one is not known"),
        _column("stage", pa.string(), "seed or related; null in an imported release"),
        _column("page_url", pa.string(), "public address of the video's page; null in an imported release"),
        _column("captions", pa.list_(_CAPTION), "where captions can be fetched; null where nobody asked"),
        _column("cover_sha256", pa.string(), "of media/covers/<item_id>"),
        _column("video_sha256", pa.string(), "of media/videos/<item_id>"),
        _column("audio_sha256", pa.string(), "of media/audios/<item_id>"),
        _column(
            "audio_problem",
            pa.string(),
            "why there is no sound to be used: a failure's word (`no_audio`: the video is silent), `missing` where "
            "none was offered or asked for, `not_decodable`; null where all is well",
        ),
        _column("cover_path", pa.string(), "within the release"),
        _column("video_path", pa.string(), "within the release"),
        _column("audio_path", pa.string(), "within the release"),
    ]
)

INTERACTIONS = pa.schema(
    [
        _column("user_id", pa.int32(), "from 1", nullable=False),
        _column("item_id", pa.int32(), "from 1", nullable=False),
        _column(
            "timestamp_ms",
            pa.int64(),
            "of the user's earliest comment on the item; null in `order` releases, and imported ones whose source has "
            "no times",
        ),
        _column("position", pa.int32(), "place in the user's sequence, from 1, oldest first", nullable=False),
    ]
)

USERS = pa.schema(
    [
        _column("user_id", pa.int32(), "from 1", nullable=False),
        _column("interaction_count", pa.int32(), "rows of this user in interactions", nullable=False),
        _column("gender", pa.string(), "where public and asked for"),
    ]
)

COMMENTS = pa.schema(
    [
        _column("user_id", pa.int32(), "from 1", nullable=False),
        _column("item_id", pa.int32(), "from 1", nullable=False),
        _column("text", pa.string(), "of the comment that is the interaction"),
    ]
)

IMPORTED_ITEM_IDS = pa.schema(
    [
        _column("item_id", pa.int32(), "from 1", nullable=False),
        _column("original_id", pa.string(), "of the item in the files that were imported", nullable=False),
    ]
)

IMPORTED_USER_IDS = pa.schema(
    [
        _column("user_id", pa.int32(), "from 1", nullable=False),
        _column("original_id", pa.string(), "of the user in the files that were imported", nullable=False),
    ]
)

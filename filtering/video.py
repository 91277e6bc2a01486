"""A video of a few kilobytes is a test upload or a broken one (paper, section 2.2)."""

from __future__ import annotations

from filtering.drop import Drop, missing_reason


def check_video(
    *,
    is_offered: bool,
    failure: str | None,
    size_bytes: int | None,
    is_decodable: bool | None,
    min_bytes: int,
    error: str | None = None,
) -> Drop | None:
    """Drop a video of FEWER than `min_bytes`, one that does not decode, and one that was not measured.

    One that does not decode has 0 files measured that do, where 1 is asked for, and its `error` as detail.
    """
    if size_bytes is None:
        return Drop(missing_reason("video", is_offered=is_offered, failure=failure), "video", None, min_bytes)
    if size_bytes < min_bytes:
        return Drop("video_too_small", "video", size_bytes, min_bytes)
    if not is_decodable:
        return Drop("video_not_decodable", "video", 0, 1, error)
    return None

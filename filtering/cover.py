"""A cover of one colour tells nothing: screens before the video starts, lost uploads (paper, section 2.2)."""

from __future__ import annotations

from filtering.drop import Drop, missing_reason


def check_cover(
    *,
    is_offered: bool,
    failure: str | None,
    is_decodable: bool | None,
    share: float | None,
    max_share: float,
    error: str | None = None,
) -> Drop | None:
    """Drop a cover whose commonest colour takes MORE than `max_share` of it, and one that was not measured.

    One that does not decode has 0 files measured that do, where 1 is asked for, and its `error` as detail.
    """
    if is_decodable is None and share is None:
        return Drop(missing_reason("cover", is_offered=is_offered, failure=failure), "cover", None, max_share)
    if not is_decodable or share is None:
        return Drop("cover_not_decodable", "cover", 0, 1, error)
    # Asked this way round, NaN is dropped.
    if not share <= max_share:
        return Drop("cover_single_color", "cover", share, max_share)
    return None

"""All filters in their order: the first one that objects gives the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filtering.cover import check_cover
from filtering.drop import Drop
from filtering.duplicates import Copy, check_duplicates, check_near_duplicates
from filtering.hash_index import PackedHashes
from filtering.likeness import Looks
from filtering.seeds import check_seed
from filtering.title import check_title
from filtering.video import check_video
from microlens.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from filtering.early import Thresholds
    from microlens.recipe import Seeds

FILTERS = ("page", "owner", "popularity", "category", "language", "title", "cover", "video", "duplicates")
"""In the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that is known of one video when its verdict is due; None is "not measured"."""

    video_id: str
    """Unique among the rows that are decided together."""
    title: str | None
    like_count: int | None = None
    comment_count: int | None = None
    category: str | None = None
    language: str | None = None
    page_failure: str | None = None
    """Why its page could never be read: `gone`, `private`, `robots` ...; set, nothing else is looked at."""
    refusal: str | None = None
    """Why its owner does not want it taken: `download_disabled`, `sensitive`."""
    is_selected: bool = True
    """False: the crawl met it, but it is no seed by the recipe's `seeds`, nor related to one."""
    has_cover: bool = True
    """The page names a cover."""
    cover_failure: str | None = None
    """Why its fetch failed for good; of no account once the cover is measured."""
    cover_is_decodable: bool | None = None
    cover_error: str | None = None
    """A word for why it does not decode."""
    cover_share: float | None = None
    cover_phash: str | None = None
    """This and the hashes below: 64 hexadecimal digits each."""
    has_video: bool = True
    """The page names a video file."""
    video_failure: str | None = None
    video_bytes: int | None = None
    video_is_decodable: bool | None = None
    video_error: str | None = None
    video_sha256: str | None = None
    video_duration_s: float | None = None
    video_phash: str | None = None
    """Of the frame at half time."""
    video_frames: Sequence[str] | None = None
    """Hashes of more frames, in order of time; None where there is no file."""
    audio_sha256: str | None = None


def decide(rows: Iterable[Measured], thresholds: Thresholds, seeds: Seeds) -> list[Verdict]:
    """Give every row one verdict, in the rows' order; which verdict does not depend on that order.

    Duplicates are looked for last, among videos that pass all else: a copy without a usable cover must not
    drive out one that has it. Near ones are looked for among those that no equal bytes drop. `seeds` only tells why
    a video was not selected. Of a row only what duplicates are found by is kept, so a million may pass by.
    """
    drops: dict[str, Drop | None] = {}
    copies, looks, count = list[Copy](), list[Looks](), 0
    for row in rows:
        count += 1
        drops[row.video_id] = drop = next(objections(row, thresholds, seeds), None)
        if drop is None:
            looks.append(_looks(row))
            if row.video_sha256 is not None:
                copies.append(Copy(row.video_id, row.video_sha256, row.like_count))
    if len(drops) != count:
        raise ValueError(f"{count} rows describe {len(drops)} videos; a verdict needs one row for each video_id")
    drops |= check_duplicates(copies)
    del copies
    drops |= check_near_duplicates(
        (video for video in looks if drops[video.video_id] is None), thresholds.near_duplicate_bits
    )
    return [_verdict(video_id, _of_the_last_twin(drop, drops)) for video_id, drop in drops.items()]


def objections(row: Measured, thresholds: Thresholds, seeds: Seeds) -> Iterator[Drop]:
    """Yield what each filter has against a video, in their order, duplicates apart; the first is what `decide` says.

    Of a video that was not read, is not to be taken or was not selected, nothing else is looked at.
    """
    if row.page_failure is not None:
        yield Drop(row.page_failure, "page")
    elif row.refusal is not None:
        yield Drop(row.refusal, "owner")
    elif not row.is_selected:
        # One that could have been a seed was met after there were enough of them.
        yield check_seed(row, seeds) or Drop("unpopular", "popularity", row.like_count, seeds.min_likes)
    else:
        for check in (_check_title, _check_cover, _check_video):
            drop = check(row, thresholds)
            if drop is not None:
                yield drop


def _check_title(row: Measured, thresholds: Thresholds) -> Drop | None:
    return check_title(row.title, min_characters=thresholds.min_title_characters, hashtags=thresholds.hashtags)


def _check_cover(row: Measured, thresholds: Thresholds) -> Drop | None:
    return check_cover(
        is_offered=row.has_cover,
        failure=row.cover_failure,
        is_decodable=row.cover_is_decodable,
        share=row.cover_share,
        max_share=thresholds.max_cover_share,
        error=row.cover_error,
    )


def _check_video(row: Measured, thresholds: Thresholds) -> Drop | None:
    return check_video(
        is_offered=row.has_video,
        failure=row.video_failure,
        size_bytes=row.video_bytes,
        is_decodable=row.video_is_decodable,
        min_bytes=thresholds.min_video_bytes,
        error=row.video_error,
    )


def _looks(row: Measured) -> Looks:
    return Looks(
        video_id=row.video_id,
        like_count=row.like_count,
        duration_s=row.video_duration_s,
        frames=PackedHashes(row.video_frames or ()),
        middle=row.video_phash,
        cover=row.cover_phash if row.audio_sha256 is not None else None,  # nobody asks for it where there is no sound
        sound_sha256=row.audio_sha256,
    )


def _of_the_last_twin(drop: Drop | None, drops: Mapping[str, Drop | None]) -> Drop | None:
    """Equal bytes may be a copy of a video that is dropped for one that is like it: this is the one that stays."""
    while drop is not None and drop.twin_of is not None and (twin := drops[drop.twin_of]) is not None:
        drop = drop._replace(twin_of=twin.twin_of)
    return drop


def _verdict(video_id: str, drop: Drop | None) -> Verdict:
    if drop is None:
        return Verdict(video_id, is_kept=True)
    return Verdict(video_id, False, *drop)

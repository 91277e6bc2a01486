"""Which videos show the same although their bytes differ: uploaded again after another encoder, smaller, or cut short.

A video's pictures are the frames that the node hashed, each once: a frame that is like an earlier one of the same video
tells nothing new. Like is: within some bits of each other's perceptual hash. Two videos are alike if

- their lengths agree (the shorter has at least 0.7 of the longer), and of the one that has fewer pictures at least 0.4,
  and at least three (two, if it has no more), have a like one in the other, in the same order of time; or
- their sound is the same to the byte, and their covers or any of their pictures are alike.

So two talks over one still picture are never taken for each other unless they are the same talk, nor are videos with
the same title cards, or covers of one series. What was measured, and why the numbers are these:
docs/adr/0016-near-duplicates.md.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filtering.hash_index import MOST_BITS, WORDS, HashIndex, Pairs, are_telling, pack_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

LEAST_LENGTH = 0.7
"""A copy that has lost more of its length is another video: an excerpt, or the original a compilation."""
LEAST_SHARE = 0.4
FEWEST_PICTURES = 2
"""A video of one picture shows nothing that another with the same one could not show."""
USUAL_PICTURES = 3
"""Two alike are not enough where there are more: an opening and a closing card may frame anything."""
COMMONEST = 256
"""A picture that more others are like is a platform's own; it tells nothing, and is not compared any further."""

_PICTURES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Looks:
    """What tells a video from others, as measured; None or empty is "unknown"."""

    video_id: str
    like_count: int | None = None
    duration_s: float | None = None
    frames: Sequence[str] = ()
    """Perceptual hashes in order of time, 64 hexadecimal digits each."""
    middle: str | None = None
    """That of the frame at half time."""
    cover: str | None = None
    sound_sha256: str | None = None


class Alike(NamedTuple):
    """Two videos by their places, and the mean of the bits in which their like pictures differ."""

    left: int
    right: int
    bits: float


class _Pictures(NamedTuple):
    """The pictures of all videos, video by video."""

    hashes: HashIndex
    video: NDArray[np.int64]
    of_video: NDArray[np.int64]
    """How many each video has."""


def find_alike(videos: Sequence[Looks], bits: int) -> Iterator[Alike]:
    """Tell every two of the videos that are alike, the earlier one left; a pair may be told twice."""
    pictures = _pictures(videos)
    for (left, right), like in _like_pictures(pictures, bits).items():
        count, mean_bits = _in_order(like)
        fewer = min(pictures.of_video[left], pictures.of_video[right])
        wanted = max(FEWEST_PICTURES, min(fewer, USUAL_PICTURES), LEAST_SHARE * fewer)
        is_shown_again = count >= wanted and _lengths_agree(videos[left], videos[right])
        if is_shown_again or _sound_is_the_same(videos[left], videos[right]):
            yield Alike(left, right, mean_bits)
    yield from _like_covers(videos, bits)


def _pictures(videos: Sequence[Looks]) -> _Pictures:
    packed, count = bytearray(), np.zeros(len(videos), np.int64)
    for place, video in enumerate(videos):
        half = len(video.frames) // 2
        middle = () if video.middle is None else (video.middle,)
        own = _different(pack_hashes((*video.frames[:half], *middle, *video.frames[half:])))
        packed += own.tobytes()
        count[place] = len(own)
    hashes = np.frombuffer(packed, np.uint64).reshape(-1, WORDS)
    return _Pictures(HashIndex(hashes), np.repeat(np.arange(len(videos)), count), count)


def _different(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Leave out flat pictures, and those that are like an earlier one."""
    telling = hashes[are_telling(hashes)]
    is_like = np.bitwise_count(telling[:, None] ^ telling).sum(axis=2, dtype=np.int64) <= MOST_BITS
    chosen: list[int] = []
    for place in range(len(telling)):
        if not is_like[place, chosen].any():
            chosen.append(place)
    return telling[chosen]


def _like_pictures(pictures: _Pictures, bits: int) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
    """By two videos: which pictures of theirs are alike, (place, place, bits)."""
    index = pictures.hashes
    likes = np.zeros(len(index), np.int64)
    kept = [np.empty((0, 3), np.int64)]
    for start in range(0, len(index), _PICTURES_AT_ONCE):
        asked = index.hashes(start, start + _PICTURES_AT_ONCE)
        found = index.near(asked, bits, enough=COMMONEST)
        left = start + found.left
        likes[start : start + len(asked)] = np.bincount(found.left, minlength=len(asked))
        is_of_two = (pictures.video[left] < pictures.video[found.right]) & (likes[left] <= COMMONEST)
        kept.append(np.stack([left, found.right, found.bits], axis=1)[is_of_two])
    pairs: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for rows in kept:
        common = (likes[rows[:, :2]] > COMMONEST).any(axis=1)
        for left, right, away in rows[~common].tolist():
            pairs[int(pictures.video[left]), int(pictures.video[right])].append((left, right, away))
    return pairs


def _in_order(like: list[tuple[int, int, int]]) -> tuple[int, float]:
    """Count the most pictures that are alike in the same order in both; of as many take those with the fewest bits."""
    chains: list[tuple[int, int, int, int]] = []
    for left, right, away in sorted(like):
        count, least = max(((n, b) for x, y, n, b in chains if x < left and y < right), default=(0, 0))
        chains.append((left, right, count + 1, least - away))
    count, least = max((n, b) for _, _, n, b in chains)
    return count, -least / count


def _lengths_agree(left: Looks, right: Looks) -> bool:
    if left.duration_s is None or right.duration_s is None:
        return False
    # Asked both ways round, NaN agrees with nothing.
    return left.duration_s >= LEAST_LENGTH * right.duration_s and right.duration_s >= LEAST_LENGTH * left.duration_s


def _sound_is_the_same(left: Looks, right: Looks) -> bool:
    return left.sound_sha256 is not None and left.sound_sha256 == right.sound_sha256


def _like_covers(videos: Sequence[Looks], bits: int) -> Iterator[Alike]:
    """Tell the videos of one sound whose covers are alike; of those with equal covers each is told with the first."""
    shared, groups = _shared(video.sound_sha256 for video in videos), defaultdict(list)
    for place, video in enumerate(videos):
        if video.cover is not None and video.sound_sha256 in shared:
            groups[video.sound_sha256, video.cover].append(place)
    covers = pack_hashes(cover for _, cover in groups)
    is_telling = are_telling(covers)
    for first, *others in compress(groups.values(), is_telling):
        yield from (Alike(first, other, 0) for other in others)
    firsts = np.array([places[0] for places in groups.values()], np.int64)
    _, sounds = np.unique([str(sound) for sound, _ in groups], return_inverse=True)
    by_sound = np.argsort(sounds, kind="stable")
    ends = np.cumsum(np.bincount(sounds))
    index = HashIndex(covers)
    for start in range(0, len(index), _PICTURES_AT_ONCE):
        asked = np.arange(start, min(start + _PICTURES_AT_ONCE, len(index)))
        found = index.near(covers[asked], bits, enough=COMMONEST)
        is_common = np.bincount(found.left, minlength=len(asked)) > COMMONEST
        alike = [Pairs(asked[found.left], found.right, found.bits).of(~is_common[found.left])]
        # A cover of very many sounds is held against those of its own alone.
        for place in asked[is_common]:
            end = ends[sounds[place]]
            own = by_sound[ends[sounds[place] - 1] if sounds[place] else 0 : end]
            own = own[is_telling[own]]
            away = np.bitwise_count(covers[own] ^ covers[place]).sum(axis=1, dtype=np.int64)
            alike.append(Pairs(np.full(len(own), place), own, away).of(away <= bits))
        for some in alike:
            told = some.of((sounds[some.left] == sounds[some.right]) & (some.left < some.right))
            for left, right, away in zip(firsts[told.left], firsts[told.right], told.bits, strict=True):
                yield Alike(int(left), int(right), int(away))


def _shared(sounds: Iterable[str | None]) -> set[str]:
    counts: dict[str, int] = defaultdict(int)
    for sound in sounds:
        if sound is not None:
            counts[sound] += 1
    return {sound for sound, count in counts.items() if count > 1}

"""Which videos are flawed, and how: fixed when the world is made, one flaw a video at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLE, COVER, SMALL, DUPLICATE, DELETED, NEAR = KINDS = (
    "title_too_short",
    "cover_single_color",
    "video_too_small",
    "duplicate_video",
    "gone",
    "near_duplicate_video",
)
PRIVATE, CLOSED = "private", "robots_noai"
WAYS_TO_LEAVE = (DELETED, PRIVATE, CLOSED)
"""What becomes of some sound videos as days pass (sandbox.days)."""

SHARE_EACH = 0.03
"""Six kinds of three per cent make the site's eighteen per cent of flawed videos."""

MOST_CUT = 0.2
"""Share of its original's length that a copy has lost, at one end or at both."""

SMALLEST_KEPT_BYTES = 100_000
POPULAR_LIKES = 10_000


@dataclass(frozen=True)
class Flaws:
    """One entry a video, by its index, in every array."""

    kind: list[str]
    """One of `KINDS`, or "" for a video without a flaw."""

    source: NDArray[np.int64]
    """The video whose clip this one shows: itself, or the original of a duplicate."""

    scenes: NDArray[np.int64]
    """The video whose scenes this one shows: itself, or the original of a duplicate, exact or near."""

    span: NDArray[np.float64]
    """Which part of those it shows (videos, 2): from and to, 0 to 1; the whole but for copies that are cut short."""

    flat_share: NDArray[np.float64]
    """How much of the cover is one flat colour: 0, or about 0.57 (kept), 0.9 or 1 (flawed)."""

    exact_bytes: NDArray[np.int64]
    """The clip's size where it is fixed to the byte, else 0."""

    three_characters: frozenset[int]
    """Videos whose title has exactly three real characters: kept."""

    hostile_title: frozenset[int]
    """Videos whose title holds markup and quotes: kept."""

    def lenders(self, variety: int | None) -> Lenders:
        """Choose the first `variety` sound videos of each sort, whose encodings all others borrow."""
        own = np.arange(len(self.kind))
        is_odd = (self.exact_bytes > 0) | np.array([kind == SMALL for kind in self.kind]) | (self.scenes != own)
        return Lenders(*(_borrow(own, odd, variety) for odd in (is_odd, self.flat_share > 0)))


@dataclass(frozen=True)
class Lenders:
    """By video: whose encoding it shows."""

    clip: NDArray[np.int64]
    cover: NDArray[np.int64]


def _borrow(own: NDArray[np.int64], is_odd: NDArray[np.bool_], variety: int | None) -> NDArray[np.int64]:
    """Have every video that is not odd borrow of one of the first `variety` such videos."""
    lenders = own[~is_odd][:variety]
    return own if variety is None else np.where(is_odd, own, lenders[own % len(lenders)])


def plan_flaws(rng: np.random.Generator, likes: NDArray[np.int64]) -> Flaws:
    """Deal the flaws over the videos, and the borderline cases that must be kept over some of the others."""
    count = len(likes)
    order = rng.permutation(count)
    each = max(2, round(SHARE_EACH * count))
    groups = {kind: order[i * each : (i + 1) * each] for i, kind in enumerate(KINDS)}
    sound = order[len(KINDS) * each :]
    # Their draws are of a stream of their own: the other flaws are dealt as if there were none.
    near_rng = rng.spawn(1)[0]
    few = max(1, each // 3)
    kind = [""] * count
    for name, group in groups.items():
        for video in group.tolist():
            kind[video] = name
    exact = np.zeros(count, np.int64)
    exact[groups[SMALL][0]] = SMALLEST_KEPT_BYTES - 1
    exact[sound[0]] = SMALLEST_KEPT_BYTES
    source = _sources(rng, likes, groups[DUPLICATE], sound[1 + 3 * few :], kind)
    near = _sources(near_rng, likes, groups[NEAR], sound[1 + 3 * few :], kind)
    return Flaws(
        kind=kind,
        source=source,
        scenes=np.where(near == np.arange(count), source, near),
        span=_spans(near_rng, count, groups[NEAR][1::2]),
        flat_share=_flat_shares(rng, count, groups[COVER], sound[1 : 1 + few]),
        exact_bytes=exact,
        three_characters=frozenset(sound[1 + few : 1 + 2 * few].tolist()),
        hostile_title=frozenset(sound[1 + 2 * few : 1 + 3 * few].tolist()),
    )


def _spans(rng: np.random.Generator, count: int, cut: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cut some videos short: in turn at the start, at the end, and half as much at both."""
    spans = np.tile([0.0, 1.0], (count, 1))
    for place, video in enumerate(cut.tolist()):
        lost = rng.uniform(MOST_CUT / 2, MOST_CUT)
        at_start = (lost, 0.0, lost / 2)[place % 3]
        spans[video] = at_start, 1 - (lost - at_start)
    return spans


def _flat_shares(
    rng: np.random.Generator, count: int, flawed: NDArray[np.int64], borderline: NDArray[np.int64]
) -> NDArray[np.float64]:
    shares = np.zeros(count)
    shares[flawed[::2]] = 1.0
    shares[flawed[1::2]] = rng.uniform(0.89, 0.93, len(flawed[1::2]))
    shares[borderline] = rng.uniform(0.55, 0.59, len(borderline))
    return shares


def _sources(
    rng: np.random.Generator,
    likes: NDArray[np.int64],
    copies: NDArray[np.int64],
    originals: NDArray[np.int64],
    kind: list[str],
) -> NDArray[np.int64]:
    """Give every copy an original with more likes; the first two copies share theirs where they can."""
    source = np.arange(len(likes))
    previous = -1
    for place, copy in enumerate(copies.tolist()):
        if place == 1 and previous >= 0 and likes[previous] > likes[copy]:
            source[copy] = previous
            continue
        better = originals[likes[originals] > max(int(likes[copy]), POPULAR_LIKES)]
        if len(better) == 0:
            kind[copy] = ""
            continue
        previous = int(rng.choice(better))
        source[copy] = previous
    return source

"""Which frames stand for a video: those that a copy has too, however it was encoded and wherever it was cut.

A frame at which brightness turns (its mean luma is the most or the least within `TURN_S`) belongs to what is shown and
not to the file, so a copy has it too. Finding turns needs frames decoded, so they are looked for in the middle
`SEARCHED_S` alone, which a cut at either end moves least. What was measured: docs/adr/0016-near-duplicates.md.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from download_nodes.fingerprint import THUMBNAIL, phash_of_luma
from microlens.containers import packets, seek, seek_keyframe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

FRAMES = 16
"""Hashed of one video, at most."""
TURN_S = 0.25
LIKE_BITS = 15
"""A turn that looks like a stronger one (download_nodes.fingerprint) tells nothing new, and has no place among them."""
SEARCHED_S = 20.0
"""The middle of a video that is searched for turns; less, if it has more than `SEARCHED_PIXELS`."""
SEARCHED_PIXELS = 500_000_000
"""Passed while searching, at most, in all frames together: 18 s of 1280 by 720 at 30 a second."""
SKIPPED_FROM_HZ = 24
"""Of videos of fewer frames a second every frame is looked at."""
LEAST_PIXELS = 1 << 18
"""That a frame counts for, however small it is."""
PIXELS_A_BYTE = 32
"""And however few, so many for each of its bytes: what is hardly compressed is slow to decode too."""
KEYFRAME_REACH = 512
"""Packets that are looked through for a keyframe where a file cannot be sought in."""
_GRID_HZ = 30
_SMOOTHED = 7

_BROKEN = (av.FFmpegError, MemoryError, ValueError)


class _Seen(NamedTuple):
    time_s: float
    luma: NDArray[np.uint8]
    """`THUMBNAIL` rows and columns of it."""


def frame_hashes(container: InputContainer, stream: VideoStream, opens_s: float, length_s: float) -> tuple[str, ...]:
    """Hash up to `FRAMES` frames of a video, in order of time: where brightness turns, and if there are fewer, others.

    The others are spread evenly: frames where all was searched, else the keyframes before their moments, found by
    seeking. Flat frames (download_nodes.fingerprint) and what does not decode are left out. Raises nothing on hostile
    bytes.
    """
    reformatter = VideoReformatter()
    searched_s = _searched_s(stream)
    is_whole = length_s <= searched_s
    begin_s = opens_s if is_whole else opens_s + (length_s - searched_s) / 2
    seen = sorted(_search(container, stream, reformatter, begin_s, begin_s + searched_s), key=lambda each: each.time_s)
    hashes = _different(seen[place] for place in _turns(seen))
    others = FRAMES - len(hashes)
    if is_whole and seen:
        spread: Iterable[_Seen] = _spread(seen, others)
    else:
        moments_s = [opens_s + length_s * number / others for number in range(others)]
        spread = _keyframes(container, stream, reformatter, moments_s)
    hashes |= {each.time_s: phash_of_luma(each.luma) for each in spread}
    return tuple(digest for _, digest in sorted(hashes.items()) if digest)


def _searched_s(stream: VideoStream) -> float:
    frames = SEARCHED_PIXELS / _pixels(stream)
    return min(SEARCHED_S, frames / float(stream.average_rate or _GRID_HZ))


def _pixels(stream: VideoStream) -> int:
    return max(stream.codec_context.width * stream.codec_context.height, LEAST_PIXELS)


def _search(
    container: InputContainer, stream: VideoStream, reformatter: VideoReformatter, begin_s: float, end_s: float
) -> Iterator[_Seen]:
    """Decode what lies in this time, and what must be decoded before it; it ends early where that is too much."""
    # What no other frame is made from may be left out: about half of all, and a turn lasts longer than two of many.
    if (stream.average_rate or 0) >= SKIPPED_FROM_HZ:
        stream.codec_context.skip_frame = "NONREF"
    left = SEARCHED_PIXELS
    with contextlib.suppress(*_BROKEN):
        seek_keyframe(container, stream, begin_s)
        for packet in packets(container, stream):
            left -= max(_pixels(stream), packet.size * PIXELS_A_BYTE)
            with contextlib.suppress(*_BROKEN):
                for frame in stream.decode(packet):
                    if frame.time is not None and begin_s <= frame.time <= end_s:
                        yield _shrink(reformatter, frame, frame.time)
            if left < 0 or (packet.dts is not None and packet.time_base and packet.dts * packet.time_base > end_s):
                break
    stream.codec_context.flush_buffers()
    stream.codec_context.skip_frame = "DEFAULT"


def _shrink(reformatter: VideoReformatter, frame: VideoFrame, time_s: float) -> _Seen:
    small = reformatter.reformat(frame, THUMBNAIL, THUMBNAIL, format="gray", interpolation="AREA")
    return _Seen(time_s, np.asarray(small.to_ndarray(), dtype=np.uint8))


def _turns(seen: Sequence[_Seen]) -> list[int]:
    """Places of all frames where brightness turns, the strongest first; frames may be missing in between."""
    times_s = np.array([each.time_s for each in seen])
    grid_s = np.arange(times_s[0], times_s[-1], 1 / _GRID_HZ) if seen else times_s
    reach = round(TURN_S * _GRID_HZ)
    if len(grid_s) <= reach:
        return []
    level = np.interp(grid_s, times_s, [each.luma.mean() for each in seen])
    level = np.convolve(np.pad(level, _SMOOTHED // 2, mode="edge"), np.full(_SMOOTHED, 1 / _SMOOTHED), mode="valid")
    around = np.lib.stride_tricks.sliding_window_view(np.pad(level, reach, mode="edge"), 2 * reach + 1)
    high, low = around.max(axis=1), around.min(axis=1)
    is_turn = (high > low) & ((level == high) | (level == low))
    # Where half of the surroundings is cut off, what would be the turn may be missing.
    is_turn[: reach // 2] = is_turn[-(reach // 2) :] = False
    # Before and after a leap all is as bright for a while: it is one turn.
    is_turn[1:] &= ~is_turn[:-1]
    turns = np.flatnonzero(is_turn)
    strongest = turns[np.argsort((low - high)[turns], kind="stable")]
    return [int(np.abs(times_s - grid_s[turn]).argmin()) for turn in strongest]


def _different(frames: Iterable[_Seen]) -> dict[float, str | None]:
    """Hash the first `FRAMES` frames that are not flat, nor like an earlier one; by their times."""
    chosen: dict[float, str | None] = {}
    bits: list[int] = []
    for frame in frames:
        digest = phash_of_luma(frame.luma)
        number = int(digest or "0", 16)
        if digest and all((number ^ other).bit_count() > LIKE_BITS for other in bits):
            chosen[frame.time_s] = digest
            bits.append(number)
            if len(bits) == FRAMES:
                break
    return chosen


def _spread(seen: Sequence[_Seen], count: int) -> Iterator[_Seen]:
    """Yield the frames nearest to so many moments spread evenly."""
    times_s = np.array([each.time_s for each in seen])
    length_s = times_s[-1] - times_s[0]
    for number in range(count):
        yield seen[int(np.abs(times_s - times_s[0] - length_s * (number + 0.5) / count).argmin())]


def _keyframes(
    container: InputContainer, stream: VideoStream, reformatter: VideoReformatter, moments_s: Iterable[float]
) -> Iterator[_Seen]:
    """Decode the last keyframe before each moment, each once; in a file without an index, one about there."""
    seen = set()
    for moment_s in moments_s:
        seek(container, moment_s)
        with contextlib.suppress(*_BROKEN):
            packet = _next_keyframe(container, stream)
            if packet is None or packet.pts is None or packet.time_base is None or packet.pts in seen:
                continue
            seen.add(packet.pts)
            # A decoder may hold a frame back until it has seen the next: told that none follows, it gives it.
            for frame in [*stream.decode(packet), *stream.decode(None)][:1]:
                yield _shrink(reformatter, frame, float(packet.pts * packet.time_base))
        stream.codec_context.flush_buffers()


def _next_keyframe(container: InputContainer, stream: VideoStream) -> Packet[Stream] | None:
    some = islice(packets(container, stream), KEYFRAME_REACH)
    return next((packet for packet in some if packet.is_keyframe and packet.size), None)

"""The bytes of covers, sounds and clips: made on first request or ahead, kept in a folder."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np

from sandbox import encode, flaws, picture, sound
from sandbox.topics import TOPICS
from sandbox.videos import FPS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sandbox.world import World

Kind = Literal["cover", "audio", "video"]
SUFFIXES: dict[Kind, str] = {"cover": "jpg", "audio": "m4a", "video": "mp4"}
FORMAT_VERSION = 2
"""Raise it when the same world gets other bytes, so that no old folder is taken for a new one."""

SMALLEST_SOUND_CLIP_BYTES = 112_000
_GRAIN, _SMALL_GRAIN = 28, 2


@dataclass(frozen=True)
class Plan:
    """All that decides a video's three files."""

    cover_key: str
    clip_key: str
    """The original's for a duplicate: the same key makes the same bytes."""

    scene_key: str
    """What they show: another clip's for a near-duplicate, which was made of it by another encoder."""

    stamp: bytes
    """What a clip ends with that several videos borrow, or were made of, so that each still has a file of its own."""

    cover_topic: int
    topic: int
    """Of clip and sound."""

    scene_frames: int
    """Of those scenes, of which the clip shows the frames from `first_frame` up to `end_frame`."""

    first_frame: int
    end_frame: int
    flat_share: float
    is_small: bool
    exact_bytes: int


def plan(world: World, video: int) -> Plan:
    dealt = world.videos.flaws
    source, scenes = int(dealt.source[video]), int(world.lenders.clip[dealt.scenes[video]])
    clip, cover = int(world.lenders.clip[source]), int(world.lenders.cover[video])
    scene_frames = int(world.videos.scene_frames[scenes])
    own, is_borrowed = world.videos.ids[source].encode(), clip != source or scenes != dealt.scenes[video]
    first_frame, end_frame = np.rint(dealt.span[source] * scene_frames).astype(int).tolist()
    return Plan(
        cover_key=world.videos.ids[cover],
        clip_key=world.videos.ids[clip],
        scene_key=world.videos.ids[scenes],
        stamp=encode.free_box(hashlib.sha256(own).digest()) if is_borrowed else b"",
        cover_topic=int(world.videos.topic[cover]),
        topic=int(world.videos.topic[scenes]),
        scene_frames=scene_frames,
        first_frame=first_frame,
        end_frame=end_frame,
        flat_share=float(dealt.flat_share[cover]),
        is_small=dealt.kind[source] == flaws.SMALL,
        exact_bytes=int(dealt.exact_bytes[source]),
    )


def make(seed: int, planned: Plan, kind: Kind) -> bytes:
    """Make one file of a video, without its stamp; the same arguments give the same bytes."""
    if kind == "cover":
        return picture.make_cover(_rng(seed, planned.cover_key, kind), TOPICS[planned.cover_topic], planned.flat_share)
    made = sound.make_sound(_rng(seed, planned.scene_key, "audio"), TOPICS[planned.topic], planned.scene_frames / FPS)
    first, end = (round(frame / FPS * sound.SAMPLE_RATE) for frame in (planned.first_frame, planned.end_frame))
    style = encode.FIRST if planned.scene_key == planned.clip_key else encode.AGAIN
    if kind == "audio":
        return encode.encode_sound(made[first:end], style)
    return _make_clip(seed, planned, made[first:end], style)


def _make_clip(seed: int, planned: Plan, samples: NDArray[np.float32], style: encode.Style) -> bytes:
    grain = _SMALL_GRAIN if planned.is_small or planned.exact_bytes else _GRAIN
    rng = _rng(seed, planned.scene_key, "video")
    frames, cuts = picture.make_frames(rng, TOPICS[planned.topic], planned.scene_frames, grain)
    body = encode.encode_clip(frames, samples, encode.FIRST, cuts)
    if style is not encode.FIRST:
        shown = islice(encode.decode_frames(body, style), planned.first_frame, planned.end_frame)
        # An encoder sees the cuts between the scenes, and sets its keyframes there.
        cuts = [cut - planned.first_frame for cut in cuts]
        body = encode.encode_clip(shown, samples, style, cuts)
    if planned.exact_bytes:
        return encode.pad_mp4(body, planned.exact_bytes)
    if not planned.is_small and len(body) < SMALLEST_SOUND_CLIP_BYTES:
        return encode.pad_mp4(body, SMALLEST_SOUND_CLIP_BYTES + 8)
    return body


def _rng(seed: int, key: str, part: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{key}/{part}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


class MediaFolder:
    """A world's files on disk; a file is there whole or not at all."""

    def __init__(self, world: World, folder: Path) -> None:
        config = world.config
        self._world = world
        variety = "" if config.media_variety is None else f"-variety{config.media_variety}"
        self._folder = folder / f"format{FORMAT_VERSION}-seed{config.seed}-videos{config.videos}{variety}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, video: int, kind: Kind) -> bytes:
        """Give a file's bytes, made now if nobody has asked before."""
        planned = plan(self._world, video)
        path = self._path(planned, kind)
        if not path.exists():
            _write_whole(path, make(self._world.config.seed, planned, kind))
        return path.read_bytes() + (planned.stamp if kind == "video" else b"")

    def prepare(self, processes: int = 2) -> None:
        """Make all files that are missing."""
        wanted: dict[Path, tuple[int, Plan, Kind, Path]] = {}
        for video in np.flatnonzero(self._world.has_media).tolist():
            planned = plan(self._world, video)
            for kind in SUFFIXES:
                path = self._path(planned, kind)
                if not path.exists():
                    wanted[path] = (self._world.config.seed, planned, kind, path)
        if not wanted:
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            list(pool.map(_make_file, wanted.values(), chunksize=32))

    def _path(self, planned: Plan, kind: Kind) -> Path:
        key = planned.cover_key if kind == "cover" else planned.clip_key
        return self._folder / f"{key}.{SUFFIXES[kind]}"


def prepare(world: World, folder: Path, processes: int = 2) -> None:
    """Make all of a world's files ahead, several at a time."""
    MediaFolder(world, folder).prepare(processes)


def _make_file(job: tuple[int, Plan, Kind, Path]) -> None:
    seed, planned, kind, path = job
    _write_whole(path, make(seed, planned, kind))


def _write_whole(path: Path, body: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    partial.write_bytes(body)
    partial.replace(path)

"""Measures files in processes that may hang, swell and crash in its place; one that does costs one file.

A file is blamed only if a process died while it worked on this very file; those that only waited behind it are
measured by the next process. Whoever kills from outside (an operator, the kernel short of memory) is not taken for the
file's doing at first: the file has a second try.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from download_nodes.decoder_process import DecoderProcess
from download_nodes.decoder_wire import Request, Task, written_path
from microlens.errors import MicrolensError
from microlens.records import AssetRecord
from microlens.sniff import NotMediaError, mime_of
from microlens.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.records import AssetKind

TIME_LIMIT_S = 20
MEMORY_LIMIT_BYTES = 1 << 30
_WALL_FACTOR = 6
"""A machine that is busy otherwise is not the file's fault: on the clock it may take so many times its CPU time."""
_UNDER_WAY = 16
"""Requests that a process has at once: enough that it never waits for the node."""
_MAX_IDLE_DEATHS = 3


class NoDecoderError(MicrolensError):
    """The decoding process does not start, or dies without a file to blame."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(
            f"the process that measures media (python -m download_nodes.decoder) ends by itself, exit code {exit_code}",
            hint="its own words stand above; `microlens-build doctor` checks this machine",
        )


class NoAudioError(MicrolensError):
    """There is no sound to be taken out of a video."""

    def __init__(self, video_id: str, reason: str) -> None:
        super().__init__(
            f"video {video_id!r} gives no sound: {reason}",
            hint="nothing is wrong with this machine; the video is kept without sound",
        )
        self.reason = reason
        """`no_audio`, `audio_broken`, or a word for how the process died of it (`decoder_crashed` ...)."""


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    answer: asyncio.Future[dict[str, Any]]
    file: int | None = None
    """Descriptor of a file that it may write."""
    deaths: int = 0
    """Of processes that were killed from outside while they worked on it."""


class Measurer:
    """Measures in up to `processes` processes of their own, started when first needed.

    A file may take `time_limit_s` of CPU and `memory_limit_bytes` of memory, that of the idle process included (about
    60 MB). One event loop; `close` it there, or use it as an asynchronous context manager.
    """

    def __init__(
        self,
        *,
        processes: int = 1,
        time_limit_s: int = TIME_LIMIT_S,
        memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
    ) -> None:
        self._width, self._time_limit_s, self._memory_limit_bytes = processes, time_limit_s, memory_limit_bytes
        self._waiting: deque[_Job] = deque()
        self._under_way: dict[DecoderProcess, dict[int, _Job]] = {}
        self._count = 0
        self._idle_deaths = 0
        self._watch: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the processes; what is still asked for is cancelled."""
        if self._watch is not None:
            self._watch.cancel()
        jobs = [*self._waiting, *(job for some in self._under_way.values() for job in some.values())]
        for process in self._under_way:
            process.close()
        self._waiting.clear()
        self._under_way.clear()
        for job in jobs:
            job.answer.cancel()

    @property
    def pids(self) -> list[int]:
        """Process ids of those that live."""
        return [process.pid for process in self._under_way]

    async def measure(
        self, path: Path, *, kind: AssetKind, platform: str, video_id: str, sha256: str, size_bytes: int
    ) -> AssetRecord:
        """As download_nodes.measure does it, NotMediaError included; what kills a process is recorded as not decodable.

        Then `error` is `decoder_crashed`, `decoder_timeout` or `decoder_memory`. OSError if the file cannot be read;
        NoDecoderError if there is no process to be had.
        """
        answer = await self._ask("measure", kind, path)
        if "not_media" in answer:
            raise NotMediaError(kind, video_id, answer["not_media"])
        facts = _facts(answer, path)
        return AssetRecord(platform, video_id, kind, sha256, size_bytes, **facts)

    async def extract_audio(self, video: Path, into: Path, *, platform: str, video_id: str) -> AssetRecord:
        """Take a video's sound out of its file as it is (download_nodes.audio) and measure it.

        `into` must not exist; it is the caller's to store, and to delete. NoAudioError if there is none to be had.
        """
        with into.open("x+b") as file:
            answer = await self._ask("extract", "video", video, file.fileno())
        _raise_troubles(answer, video)
        reason = answer.get("died") or answer.get("extracted")
        if reason is not None:
            raise NoAudioError(video_id, reason)
        return await self.measure_sound(into, platform=platform, video_id=video_id)

    async def draw_thumbnail(self, cover: Path, into: Path) -> str | None:
        """Write a small JPEG of a cover (download_nodes.cover), for people to look at; gives a word if none can be had.

        `into` must not exist. The word is that of `measure`.
        """
        with into.open("x+b") as file:
            answer = await self._ask("draw", "cover", cover, file.fileno())
        _raise_troubles(answer, cover)
        word: str | None = answer.get("died") or answer.get("drawn")
        return word

    async def measure_sound(self, path: Path, *, platform: str, video_id: str) -> AssetRecord:
        """Hash and measure a sound that was made here."""
        sha256, size_bytes = await asyncio.to_thread(_identity, path)
        asset = await self.measure(
            path, kind="audio", platform=platform, video_id=video_id, sha256=sha256, size_bytes=size_bytes
        )
        return replace(asset, origin="extracted")

    async def _ask(self, task: Task, kind: AssetKind, path: Path, file: int | None = None) -> dict[str, Any]:
        self._count += 1
        request = Request(self._count, task, kind, written_path(path))
        job = _Job(request, asyncio.get_running_loop().create_future(), file)
        self._waiting.append(job)
        self._deal()
        return await job.answer

    def _deal(self) -> None:
        """Give what waits to the process that has least to do."""
        while self._waiting:
            process = min(self._under_way, key=lambda each: len(self._under_way[each]), default=None)
            if len(self._under_way) < self._width and (process is None or self._under_way[process]):
                process = self._start()
            if process is None or len(self._under_way[process]) >= _UNDER_WAY:
                return
            job = self._waiting.popleft()
            if not job.answer.done():
                jobs = self._under_way[process]
                process.send(job.request, job.file, is_first=not jobs)
                jobs[job.request.number] = job

    def _start(self) -> DecoderProcess:
        process = DecoderProcess(
            memory_bytes=self._memory_limit_bytes,
            cpu_s=self._time_limit_s,
            on_answer=lambda number, answer: self._answered(process, number, answer),
            on_death=self._buried,
        )
        self._under_way[process] = {}
        if self._watch is None:
            self._look()
        return process

    def _answered(self, process: DecoderProcess, number: int, answer: dict[str, Any]) -> None:
        self._idle_deaths = 0
        job = self._under_way[process].pop(number)
        if not job.answer.done():
            job.answer.set_result(answer)
        self._deal()

    def _buried(self, process: DecoderProcess) -> None:
        """Blame the file that a process died of, if any; have the others measured by the next."""
        jobs = self._under_way.pop(process)
        guilty = jobs.get(process.in_work)
        if guilty is None:
            self._idle_deaths += 1
        elif process.was_killed_from_outside() and guilty.deaths == 0:
            guilty.deaths += 1
        else:
            del jobs[guilty.request.number]
            if not guilty.answer.done():
                guilty.answer.set_result({"died": process.cause()})
        self._waiting.extendleft(reversed(jobs.values()))
        if self._idle_deaths < _MAX_IDLE_DEATHS:
            self._deal()
            return
        self._idle_deaths = 0
        while self._waiting:
            job = self._waiting.popleft()
            if not job.answer.done():
                job.answer.set_exception(NoDecoderError(process.exit_code))

    def _look(self) -> None:
        """Kill, once in a while, what has been at one file for too long."""
        wall_s = self._time_limit_s * _WALL_FACTOR
        for process, jobs in self._under_way.items():
            if jobs:
                process.kill_if_stuck(wall_s)
        self._watch = asyncio.get_running_loop().call_later(min(1.0, wall_s / 4), self._look)


def _identity(path: Path) -> tuple[str, int]:
    return sha256_of(path), path.stat().st_size


def _facts(answer: dict[str, Any], path: Path) -> dict[str, Any]:
    """What a file's record says besides its identity."""
    _raise_troubles(answer, path)
    if "died" in answer:
        return {"mime": mime_of(path), "is_decodable": False, "error": answer["died"]}
    facts: dict[str, Any] = answer["facts"]
    return {**facts, "frame_hashes": tuple(facts.get("frame_hashes", ()))}


def _raise_troubles(answer: dict[str, Any], path: Path) -> None:
    if "os_error" in answer:
        raise OSError(*answer["os_error"], str(path))
    if "bug" in answer:
        raise RuntimeError(f"{path} could not be measured:\n{answer['bug']}")

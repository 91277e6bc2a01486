"""Brings what other machines keep of a run to this one: parts and media, each byte once, from several at the same time.

The ledger says what there is and by which hash; a source only gives bytes. What it gives wrongly is refused by name,
and asked of another source that has it; what broke off is gone on with, in this process or the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from array import array
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from integration.lacking import AT_ONCE, lacking
from integration.progress import Progress
from integration.pulled import Pulled
from microlens.errors import CorruptDataError, StoreUnreachableError
from microlens.logs import log
from microlens.store import sync
from microlens.store_cache import complete, fetch_into

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from integration.lacking import Lacking, Wanted
    from integration.sources import Source
    from microlens.ledger_rows import Part
    from microlens.runs import Run

CHANNELS = 4
"""Connections to one source."""
_TICK_S = 0.5
_AGAIN_S = 0.02
_NAMED = 100
"""Of what is missing so many are named."""
_OPEN, _IN_HAND, _DONE = range(3)


def pull(
    run: Run,
    sources: Mapping[str, Callable[[], Source]],
    *,
    kept_at: str | None = None,
    channels: int = CHANNELS,
    on_tick: Callable[[dict[str, Progress], int], None] = lambda _progress, _left: None,
) -> Pulled:
    """Bring what is lacking from named sources, over so many channels each; what no source gives is told, not raised.

    With `kept_at` only the parts that are kept there, as far as they are not here.
    `on_tick` is told, twice a second, how each source does and how many files are left.
    """
    with run.lock_tables():
        work = _Work(run, lacking(run, kept_at=kept_at))
        progress = {name: Progress(channels) for name in sources}
        # Daemons: one that waits for its source must not keep a process from ending.
        serving = [
            threading.Thread(target=work.serve, args=(name, open_one, progress[name], channel), daemon=True)
            for name, open_one in sources.items()
            for channel in range(channels)
        ]
        for one in serving:
            one.start()
        try:
            while any(one.is_alive() for one in serving) and work.broken is None:
                on_tick(progress, work.left)
                time.sleep(_TICK_S if work.left else 0.01)
        finally:
            work.stop()
        if work.broken is not None:
            raise work.broken
        on_tick(progress, work.left)
        return work.told(progress)


class _StoppedError(Exception):
    """Nobody waits for it any more."""


class _Queue:
    """What one source has of what is wanted, by number; each is handed out once."""

    def __init__(self, numbers: array[int]) -> None:
        self._ahead = iter(numbers)
        self._behind: deque[int] = deque()
        """What others were at when its turn came."""

    def next(self, states: bytearray) -> int | None:
        """One that is open; None if there is none now, or none any more."""
        for _ in range(len(self._behind)):
            number = self._behind.popleft()
            if states[number] == _OPEN:
                return number
            if states[number] == _IN_HAND:
                self._behind.append(number)
        for number in self._ahead:
            if states[number] == _OPEN:
                return number
            if states[number] == _IN_HAND:
                self._behind.append(number)
        return None

    @property
    def is_over(self) -> bool:
        """Whether nothing can become open again, once there is no next one."""
        return not self._behind


class _Work:
    """The files that are wanted, handed out to whoever can give them."""

    def __init__(self, run: Run, wanted: Lacking) -> None:
        self._run, self._wanted = run, wanted
        self._lock = threading.Lock()
        self._states = bytearray(len(wanted))
        self._queues: dict[str, _Queue] = {}
        self._part_sizes: dict[str, dict[str, int]] = {}
        self._listing: dict[str, threading.Lock] = {}
        self._pulled = Pulled(left=len(wanted))
        self._is_stopped = False
        self.broken: Exception | None = None
        """What ended it that no source is to blame for, as a full disk."""

    def stop(self) -> None:
        """Have every channel end at the next bytes that it gets."""
        self._is_stopped = True

    @property
    def left(self) -> int:
        return self._pulled.left

    def told(self, progress: Mapping[str, Progress]) -> Pulled:
        told = self._pulled
        missing = (self._wanted[number].name for number, state in enumerate(self._states) if state != _DONE)
        told.missing = list(islice(missing, _NAMED))
        told.troubles = {name: one.trouble for name, one in progress.items() if one.trouble is not None}
        told.hints = sorted({one.hint for one in progress.values() if one.hint})
        ledger = self._run.ledger
        places = {*ledger.media_places(), *ledger.part_places()} if told.left else set()
        told.stores = sorted(place for place in places if "://" in place)
        return told

    def serve(self, name: str, open_one: Callable[[], Source], progress: Progress, channel: int) -> None:
        """One channel of a source: take what it has as long as something is left of it."""
        source = None
        progress.waits[channel] = time.monotonic()
        try:
            with _answering(name):
                source = open_one()
            queue = self._queue_of(name, source)
            while progress.trouble is None and (number := self._next(queue)) is not None:
                progress.waits[channel] = time.monotonic()
                self._take(name, source, number, progress, channel)
                progress.waits[channel] = None
        except (StoreUnreachableError, CorruptDataError) as error:
            with self._lock:
                is_news, progress.trouble, progress.hint = progress.trouble is None, error.message, error.hint
                if is_news and isinstance(error, CorruptDataError):
                    self._pulled.unreadable[name] = error.message
            if is_news:
                log.warning("source_lost", source=name, error=error.message, hint=error.hint)
        except _StoppedError:
            pass
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for this thread
            self.broken = self.broken or error
        finally:
            progress.waits[channel] = None
            if source is not None:
                source.close()

    def _queue_of(self, name: str, source: Source) -> _Queue:
        """What a source has of what is wanted; asked once, by the first of its channels."""
        with self._lock:
            listing = self._listing.setdefault(name, threading.Lock())
        with listing:
            if name not in self._queues:
                wanted, self._queues[name] = self._wanted, _Queue(array("I"))  # should its listing fail
                with _answering(name):
                    parts = source.parts(wanted.parts) if wanted.parts else {}
                    numbers = array("I", (n for n, part in enumerate(wanted.parts) if part.part_id in parts))
                    for start in range(len(wanted.parts), len(wanted), AT_ONCE):
                        some = range(start, min(start + AT_ONCE, len(wanted)))
                        names = [wanted[number].sha256 for number in some]
                        held = source.sizes(names)
                        numbers.extend(number for number, one in zip(some, names, strict=True) if one in held)
                self._part_sizes[name], self._queues[name] = parts, _Queue(numbers)
        return self._queues[name]

    def _next(self, queue: _Queue) -> int | None:
        """Another file that nobody is at. What another source is giving is waited for: it may give it wrongly."""
        while not self._is_stopped:
            with self._lock:
                number = queue.next(self._states)
                if number is not None:
                    self._states[number] = _IN_HAND
                if number is not None or queue.is_over:
                    return number
            time.sleep(_AGAIN_S)
        return None

    def _take(self, name: str, source: Source, number: int, progress: Progress, channel: int) -> None:
        one, state = self._wanted[number], _OPEN
        try:
            self._fetch(source, one, partial(self._counted, name, progress, channel), name)
            state = _DONE
        except CorruptDataError as error:
            log.warning("file_refused", source=name, file=one.name, error=error.message)
            with self._lock:
                self._pulled.wrong[f"{name} {one.name}"] = error.message
        finally:
            with self._lock:
                self._states[number] = state
                if state == _DONE:
                    progress.files += 1
                    self._pulled.left -= 1
                    self._pulled.parts += one.part is not None
                    self._pulled.files += one.part is None

    def _counted(self, name: str, progress: Progress, channel: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with _answering(name):
                chunk = next(chunks, None)
            if self._is_stopped:
                raise _StoppedError
            if chunk is None:
                return
            with self._lock:
                progress.size_bytes += len(chunk)
                self._pulled.size_bytes += len(chunk)
            progress.waits[channel] = time.monotonic()
            yield chunk

    def _fetch(
        self, source: Source, one: Wanted, counted: Callable[[Iterator[bytes]], Iterator[bytes]], name: str
    ) -> None:
        part, size = one.part, one.size_bytes
        if part is None:
            assert size is not None, "the ledger has the sizes of media"
            fetch_into(
                self._run.store,
                one.sha256,
                lambda offset: counted(source.read(one.sha256, offset, size)),
                source=name,
                at_most=size,
            )
            return
        told = self._part_sizes[name][part.part_id]
        aside = _fetch_part(
            self._run, part, lambda offset: counted(source.read_part(part, offset, told)), source=name, at_most=told
        )
        if aside is not None:
            with self._lock:
                self._pulled.set_aside.append(aside)


def _fetch_part(
    run: Run, part: Part, read: Callable[[int], Iterator[bytes]], *, source: str, at_most: int
) -> str | None:
    """Have a part under its own name, whole and checked; CorruptDataError if `source` gives other bytes.

    Gives the name of what stood there, if anything did: it is kept beside.
    """
    target = run.folder / part.path
    gathered = run.folder / "tmp" / f"pull-{part.part_id}"
    for folder in (gathered.parent, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with gathered.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(2):  # what was left may be broken: then once more from the start
            if complete(file, read, source=source, at_most=at_most) == part.sha256:
                sync(gathered)
                aside = f"{part.path}.wrong" if target.exists() else None
                if aside is not None:
                    target.replace(run.folder / aside)
                    log.warning("part_set_aside", part=part.path, now=aside)
                gathered.replace(target)
                sync(target.parent)
                return aside
            file.truncate(0)
    gathered.unlink()
    raise CorruptDataError(
        f"{source} gives other bytes for the part {part.path}", hint="see that it is of this very run"
    )


@contextlib.contextmanager
def _answering(name: str) -> Iterator[None]:
    """What the system says of a source, as of a mount that is gone, ends that source and nobody else."""
    try:
        yield
    except OSError as error:
        raise StoreUnreachableError(
            f"{name} cannot be read: {error.strerror or error}", hint="see to its mount or its disk, and try again"
        ) from error

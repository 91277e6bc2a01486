"""Brings what other machines keep of a run to this one: parts and media, each byte once, from several at the same time.

The ledger says what there is and by which hash; a source only gives bytes. What it gives wrongly is refused by name,
and asked of another source that has it; what broke off is gone on with, in this process or the next.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from integration.lacking import lacking
from microlens.errors import CorruptDataError, NotReadyError, StoreUnreachableError
from microlens.local_store import LocalStore
from microlens.store import sync
from microlens.store_cache import complete, fetch_into

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from integration.lacking import Wanted
    from integration.sources import Source
    from microlens.ledger_rows import Part
    from microlens.runs import Run

log = structlog.get_logger()

CHANNELS = 4
"""Connections to one source."""
_SLOW_S = 30.0
"""A source that has given nothing for so long, and has something to give, is told of."""
_TICK_S = 0.5
_AGAIN_S = 0.02


@dataclass(slots=True)
class Progress:
    """How one source does."""

    files: int = 0
    size_bytes: int = 0
    waits_since: float | None = None
    """Since when (time.monotonic) it has given nothing while it was asked."""
    trouble: str | None = None
    """Why nothing more is asked of it."""


@dataclass(slots=True)
class Pulled:
    """What came of it."""

    files: int = 0
    parts: int = 0
    size_bytes: int = 0
    wrong: list[str] = field(default_factory=list)
    """Source and name of what was refused."""
    missing: list[str] = field(default_factory=list)
    """Names of what no source could give."""
    troubles: dict[str, str] = field(default_factory=dict)
    """By source: why nothing more was asked of it."""

    def check(self) -> None:
        """CorruptDataError if a source gave wrong bytes, NotReadyError if something is missing."""
        told = "; ".join(f"{source}: {why}" for source, why in self.troubles.items())
        if self.wrong:
            raise CorruptDataError(
                f"{len(self.wrong)} files were refused, for their bytes are not those of their names: "
                f"{', '.join(self.wrong[:5])}; {len(self.missing)} of all are still missing",
                hint="mend or delete them there; what was right has been taken, and the same command takes the rest",
            )
        if self.missing:
            raise NotReadyError(
                f"{len(self.missing)} files are on no machine that was asked, {self.missing[0]} among them"
                + (f" ({told})" if told else ""),
                hint="name every machine that worked on this run with --from, then the same command takes the rest",
            )


def pull(
    run: Run,
    sources: Mapping[str, Callable[[], Source]],
    *,
    channels: int = CHANNELS,
    on_tick: Callable[[dict[str, Progress], int], None] = lambda _progress, _left: None,
) -> Pulled:
    """Bring what is lacking from named sources, over so many channels each; what no source gives is told, not raised.

    `on_tick` is told, twice a second, how each source does and how many files are left.
    """
    with run.lock_tables():
        work = _Work(run, lacking(run))
        progress = {name: Progress() for name in sources}
        # Daemons: one that waits for its source must not keep a process from ending.
        serving = [
            threading.Thread(target=work.serve, args=(name, open_one, progress[name]), name=f"pull {name}", daemon=True)
            for name, open_one in sources.items()
            for _ in range(channels)
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


class _Work:
    """The files that are wanted, handed out to whoever can give them."""

    def __init__(self, run: Run, wanted: Iterable[Wanted]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._open = {one.key: one for one in wanted}
        self._in_hand: set[tuple[bool, str]] = set()
        self._queues: dict[str, deque[Wanted]] = {}
        self._listing: dict[str, threading.Lock] = {}
        self._pulled = Pulled()
        self._is_stopped = False
        self.broken: Exception | None = None
        """What ended it that no source is to blame for, as a full disk."""

    def stop(self) -> None:
        """Have every channel end at the next bytes that it gets."""
        self._is_stopped = True

    @property
    def left(self) -> int:
        return len(self._open)

    def told(self, progress: Mapping[str, Progress]) -> Pulled:
        self._pulled.missing = sorted(one.name for one in self._open.values())
        self._pulled.troubles = {name: one.trouble for name, one in progress.items() if one.trouble is not None}
        return self._pulled

    def serve(self, name: str, open_one: Callable[[], Source], progress: Progress) -> None:
        """One channel of a source: take what it has as long as something is left of it."""
        source = None
        try:
            source = open_one()
            queue = self._queue_of(name, source)
            while progress.trouble is None and (one := self._next(queue)) is not None:
                self._take(name, source, one, progress)
        except (StoreUnreachableError, CorruptDataError) as error:
            with self._lock:
                is_news, progress.trouble = progress.trouble is None, error.message
                if is_news and isinstance(error, CorruptDataError):
                    self._pulled.wrong.append(f"{name} (its listing)")
            if is_news:
                log.warning("source_lost", source=name, error=error.message, hint=error.hint)
        except _StoppedError:
            pass
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for this thread
            self.broken = self.broken or error
        finally:
            if source is not None:
                source.close()

    def _queue_of(self, name: str, source: Source) -> deque[Wanted]:
        """What a source has of what is wanted; asked once, by the first of its channels."""
        with self._lock:
            listing = self._listing.setdefault(name, threading.Lock())
        with listing:
            if name not in self._queues:
                wanted = list(self._open.values())
                media = {one.sha256 for one in wanted if one.part is None}
                sizes, parts = (source.sizes(media) if media else {}), source.parts()
                self._queues[name] = deque(
                    one for one in wanted if (one.sha256 in sizes if one.part is None else one.part.part_id in parts)
                )
        return self._queues[name]

    def _next(self, queue: deque[Wanted]) -> Wanted | None:
        """Another file that nobody is at. What another source is giving is waited for: it may give it wrongly."""
        while not self._is_stopped:
            with self._lock:
                for _ in range(len(queue)):
                    one = queue.popleft()
                    if one.key in self._in_hand:
                        queue.append(one)
                    elif one.key in self._open:
                        self._in_hand.add(one.key)
                        return one
                if not queue:
                    return None
            time.sleep(_AGAIN_S)
        return None

    def _take(self, name: str, source: Source, one: Wanted, progress: Progress) -> None:
        progress.waits_since = time.monotonic()
        try:
            self._fetch(source, one, partial(self._counted, progress), name)
        except CorruptDataError as error:
            log.warning("file_refused", source=name, file=one.name, error=error.message)
            with self._lock:
                self._pulled.wrong.append(f"{name} {one.name}")
        else:
            with self._lock:
                self._open.pop(one.key, None)
                progress.files += 1
                self._pulled.parts += one.part is not None
                self._pulled.files += one.part is None
        finally:
            progress.waits_since = None
            with self._lock:
                self._in_hand.discard(one.key)

    def _counted(self, progress: Progress, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._is_stopped:
                raise _StoppedError
            with self._lock:
                progress.size_bytes += len(chunk)
                self._pulled.size_bytes += len(chunk)
            progress.waits_since = time.monotonic()
            yield chunk

    def _fetch(
        self, source: Source, one: Wanted, counted: Callable[[Iterator[bytes]], Iterator[bytes]], name: str
    ) -> None:
        if one.part is not None:
            part = one.part
            _fetch_part(self._run, part, lambda offset: counted(source.read_part(part, offset)), source=name)
            return
        store = self._run.store
        assert isinstance(store, LocalStore), "media are pulled into a folder"
        fetch_into(store, one.sha256, lambda offset: counted(source.read(one.sha256, offset)), source=name)


def _fetch_part(run: Run, part: Part, read: Callable[[int], Iterator[bytes]], *, source: str) -> None:
    """Have a part under its own name, whole and checked; CorruptDataError if `source` gives other bytes."""
    target = run.folder / part.path
    gathered = run.folder / "tmp" / f"pull-{part.part_id}"
    for folder in (gathered.parent, target.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with gathered.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(2):  # what was left may be broken: then once more from the start
            if complete(file, read, source=source) == part.sha256:
                sync(gathered)
                gathered.replace(target)
                sync(target.parent)
                return
            file.truncate(0)
    gathered.unlink()
    raise CorruptDataError(
        f"{source} gives other bytes for the part {part.path}", hint="see that it is an export of this very run"
    )


def progress_facts(progress: Mapping[str, Progress], left: int, *, began: float) -> dict[str, Any]:
    """What a progress line tells: rates by source since `began` (time.monotonic), and who gives nothing."""
    now = time.monotonic()
    seconds = max(now - began, 1e-3)
    facts: dict[str, Any] = {"left": left}
    for name, one in progress.items():
        is_slow = one.waits_since is not None and now - one.waits_since > _SLOW_S
        word = "lost" if one.trouble else "SLOW" if is_slow else f"{one.size_bytes / seconds / 1e6:.1f} MB/s"
        facts[name] = f"{one.files} files, {word}"
    return facts

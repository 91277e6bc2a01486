"""Keeps worker processes alive and rings their doorbell while the frontier has work."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from download_nodes.jobs import DRAIN_S, NodeJob, drain, queue_name
from download_nodes.local_trouble import LocalTroubleError
from download_nodes.refill import Refill, refill
from download_nodes.watchdog import Watchdog
from microlens.children import start_child, stop_child
from microlens.clock import now_ms
from microlens.errors import MicrolensError, RedisUnreachableError
from microlens.frontier import Frontier
from microlens.heartbeats import BEAT_S, forget, forget_gone, keep_idle, living
from microlens.logs import log
from microlens.platforms import platform_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection

    from microlens.records import WorkKind
    from microlens.runs import Run

_KINDS: tuple[WorkKind, ...] = ("media", "comments")
_TICK_S = 0.2
_STALE_TEMPORARY_S = 3600.0
_MAX_DEATHS = 20
_DEATHS_WITHIN_S = 600.0
"""So many in so short a time are no accidents: a node that runs for a year may lose a process now and then."""
_LOOK_EVERY_S = 1.0
_DISK_PATIENCE_S = 10.0
"""A node that is to end by itself waits so long for a full disk; one that runs for ever waits as long as it takes."""
_TELLING_CODES = frozenset({2, 5, 6, 7, 8})
"""Exit codes of a worker that starting it again would not mend."""


def work(
    run: Run,
    redis_url: str,
    *,
    processes: int,
    is_forever: bool = False,
    is_crawl_done: Callable[[], bool] | None = None,
    on_tick: Callable[[int], None] = lambda _left: None,
) -> None:
    """Fetch until the crawl is finished and nothing is left (or for ever), with so many worker processes.

    A worker that dies is started again, and what it held comes back when its leases end. `on_tick` is told how many
    items are left.
    """
    frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
    forget_gone(frontier, run.ledger.node_id, now_ms=now_ms())
    platform = platform_of(run.recipe)
    run.store.sweep(_STALE_TEMPORARY_S)
    doorbell = _Doorbell(redis_url, run.shared_name)
    workers = [_start_worker(run, redis_url) for _ in range(processes)]
    filling = Refill(run, frontier, platform)
    is_crawl_done = is_crawl_done or (lambda: True)
    deaths, node_id, told_at = _Deaths(), run.ledger.node_id, time.monotonic()
    disk, watchdog = _FullDisk(frontier, node_id, is_waited_for=is_forever), Watchdog(frontier, node_id)
    try:
        while True:
            # Asked before the count: the crawl pushes its last items before it says that it is done.
            is_done = filling.is_done() and is_crawl_done() and not is_forever
            left = frontier.open_count(_KINDS)
            # A refresh may have changed what is wanted of a video: its title passes now, or its files may be taken.
            # Asked once more after the count: the last file's link may have expired between the two.
            if is_done and left == 0 and is_crawl_done() and refill(run, frontier, platform) == 0:
                return
            if left:
                doorbell.ring(processes)
            for at, worker in enumerate(workers):
                if worker.poll() is not None:
                    deaths.count(worker.returncode)
                    forget(frontier, node_id, [worker.pid])
                    workers[at] = _start_worker(run, redis_url)
            pids = {worker.pid for worker in workers}
            disk.check(pids)
            watchdog.check(pids, is_work_left=left > 0)
            if time.monotonic() - told_at >= BEAT_S:
                told_at = time.monotonic()
                keep_idle(frontier, node_id, pids, now_ms=now_ms())
            on_tick(left)
            time.sleep(_TICK_S)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            stop_child(worker)
        filling.close()


class _FullDisk:
    """Ends a node whose processes all wait for free space, unless it runs for ever: then it only says so itself."""

    def __init__(self, frontier: Frontier, node_id: str, *, is_waited_for: bool) -> None:
        self._frontier = frontier
        self._node_id = node_id
        self._is_waited_for = is_waited_for
        self._look_at = 0.0
        self._since: float | None = None

    def check(self, processes: Collection[int]) -> None:
        """LocalTroubleError once the disk has been full for too long, as all of these processes say."""
        now = time.monotonic()
        if self._is_waited_for or now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        living_now = living(self._frontier, now_ms=now_ms())
        ours = [beat for beat in living_now if beat.node_id == self._node_id and beat.process in processes]
        if len(ours) < len(processes) or not all(beat.is_disk_low for beat in ours):
            self._since = None
            return
        self._since = self._since or now
        if now - self._since > _DISK_PATIENCE_S:
            raise LocalTroubleError(
                f"the disk of {self._node_id} is full: {ours[0].free_bytes:,} bytes are free",
                hint="free some space, or lower MICROLENS_MIN_FREE_BYTES; then run the same command: nothing is lost",
            )


class NodeStoppedError(MicrolensError):
    """A worker process has told why nobody can go on, and ended with that exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"a download node ended with exit code {exit_code}", hint="its own message stands above")
        self.exit_code = exit_code


class _Doorbell:
    """A queued drain job wakes one worker; one waiting job for each process is enough."""

    def __init__(self, redis_url: str, shared_name: str) -> None:
        connection = redis.Redis.from_url(redis_url)
        self._queue = Queue(
            queue_name(shared_name), connection=connection, serializer=JSONSerializer, job_class=NodeJob, is_async=True
        )

    def ring(self, processes: int) -> None:
        """Queue what is missing; RedisUnreachableError if there is no Redis to queue it in."""
        try:
            for _ in range(processes - self._queue.count):
                self._enqueue()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise RedisUnreachableError(
                f"Redis stopped answering: {error}", hint="nothing is lost: start it, then run the same command"
            ) from error

    def _enqueue(self) -> None:
        self._queue.enqueue(
            f"{drain.__module__}.{drain.__name__}",
            DRAIN_S,
            # A drain ends by itself; RQ's alarm would go off in the midst of some other item's work.
            job_timeout=-1,
            result_ttl=60,
            failure_ttl=3600,
        )


def _start_worker(run: Run, redis_url: str) -> subprocess.Popen[bytes]:
    return start_child([sys.executable, "-m", "download_nodes", str(run.folder), redis_url])


class _Deaths:
    """Worker processes that died of late."""

    def __init__(self) -> None:
        self._died_at: deque[float] = deque()

    def count(self, returncode: int) -> None:
        """MicrolensError if starting another would help nobody."""
        now = time.monotonic()
        self._died_at.append(now)
        while self._died_at[0] < now - _DEATHS_WITHIN_S:
            self._died_at.popleft()
        deaths = len(self._died_at)
        log.warning("worker_died", returncode=returncode, deaths=deaths)
        if returncode in _TELLING_CODES:
            raise NodeStoppedError(returncode)
        if deaths > _MAX_DEATHS:
            raise MicrolensError(
                f"worker processes died {deaths} times within {_DEATHS_WITHIN_S / 60:.0f} minutes, the last with code "
                f"{returncode}",
                hint="their last words stand above; what was committed is safe: run the same command again",
            )

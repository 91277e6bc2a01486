"""Keeps worker processes alive and rings their doorbell while the frontier has work."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import redis
import structlog
from rq import Queue
from rq.serializers import JSONSerializer

from download_nodes.backlog import forget_lost, outstanding
from download_nodes.jobs import DRAIN_S, NodeJob, drain, queue_name
from microlens.children import start_child, stop_child
from microlens.errors import MicrolensError, RedisUnreachableError
from microlens.frontier import Frontier
from microlens.platforms import platform_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from microlens.records import WorkKind
    from microlens.runs import Run

log = structlog.get_logger()

_KINDS: tuple[WorkKind, ...] = ("media", "comments")
_TICK_S = 0.2
_STALE_TEMPORARY_S = 3600.0
_MAX_DEATHS = 20
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
    frontier.forget(forget_lost(run))
    platform = platform_of(run.recipe)
    frontier.push(outstanding(run, platform))
    _sweep(run)
    doorbell = _Doorbell(redis_url, run.shared_name)
    workers = [_start_worker(run, redis_url) for _ in range(processes)]
    is_crawl_done = is_crawl_done or (lambda: True)
    deaths = 0
    try:
        while True:
            # Asked before the count: the crawl pushes its last items before it says that it is done.
            is_done = is_crawl_done() and not is_forever
            left = frontier.open_count(_KINDS)
            # A refresh may have changed what is wanted of a video: its title passes now, or its files may be taken.
            # Asked once more after the count: the last file's link may have expired between the two.
            if is_done and left == 0 and is_crawl_done() and frontier.push(outstanding(run, platform)) == 0:
                return
            if left:
                doorbell.ring(processes)
            for at, worker in enumerate(workers):
                if worker.poll() is not None:
                    deaths += 1
                    _check_deaths(deaths, worker.returncode)
                    workers[at] = _start_worker(run, redis_url)
            on_tick(left)
            time.sleep(_TICK_S)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            stop_child(worker)


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
    return start_child([sys.executable, "-m", "download_nodes.worker", str(run.folder), redis_url])


def _check_deaths(deaths: int, returncode: int) -> None:
    log.warning("worker_died", returncode=returncode, deaths=deaths)
    if returncode in _TELLING_CODES:
        raise NodeStoppedError(returncode)
    if deaths > _MAX_DEATHS:
        raise MicrolensError(
            f"worker processes died {deaths} times, the last with code {returncode}",
            hint="their last words stand above; what was committed is safe: run the same command again",
        )


def _sweep(run: Run) -> None:
    """Remove temporary files that a killed process left long ago."""
    for path in (run.folder / "store" / "tmp").glob("*"):
        if time.time() - path.stat().st_mtime > _STALE_TEMPORARY_S:
            path.unlink(missing_ok=True)

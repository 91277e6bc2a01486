"""One RQ worker process: `python -m download_nodes.worker RUN_FOLDER REDIS_URL`; started by `microlens-build work`."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import redis
import uvloop
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from download_nodes import jobs
from download_nodes.node import Node
from microlens.stage_process import run_stage

if TYPE_CHECKING:
    from microlens.runs import Run


class NodeWorker(SimpleWorker):
    """Runs jobs in this very process, so that connections, names and TLS live as long as it does."""

    job_class = jobs.NodeJob

    def request_stop(self, signum: Any, frame: Any) -> None:
        jobs.stop()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def spare_the_collector() -> None:
    """Have Python's garbage collector look less often: a node holds many small rows, and none of them in a cycle."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def serve(run: Run, redis_url: str) -> None:
    """Take jobs until somebody asks this process to stop."""
    connection = redis.Redis.from_url(redis_url)
    name = jobs.queue_name(run.shared_name)
    queue = Queue(name, connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
    logging.getLogger("rq.worker").setLevel(logging.ERROR)
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        jobs.install(lambda: Node(run, redis_url), runner)
        worker = NodeWorker([queue], connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
        try:
            worker.work(logging_level="ERROR")
        finally:
            jobs.close()


if __name__ == "__main__":
    run_stage("download node", serve)

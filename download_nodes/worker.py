"""One RQ worker: takes jobs that each drain the frontier for a while."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import redis
import uvloop
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from download_nodes import jobs
from download_nodes.node import Node
from microlens.garbage import collect_seldom

if TYPE_CHECKING:
    from microlens.runs import Run


class NodeWorker(SimpleWorker):
    """Runs jobs in this very process, so that connections, names and TLS live as long as it does."""

    job_class = jobs.NodeJob

    def request_stop(self, signum: Any, frame: Any) -> None:
        jobs.stop()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def serve(run: Run, redis_url: str) -> None:
    """Take jobs until somebody asks this process to stop."""
    connection = redis.Redis.from_url(redis_url)
    name = jobs.queue_name(run.shared_name)
    queue = Queue(name, connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
    logging.getLogger("rq.worker").setLevel(logging.ERROR)
    collect_seldom()  # once more: what has been imported is frozen
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        jobs.install(lambda: Node(run, redis_url), runner)
        worker = NodeWorker([queue], connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
        try:
            worker.work(logging_level="ERROR")
        finally:
            jobs.close()

"""One RQ worker process: `python -m download_nodes.worker RUN_FOLDER REDIS_URL`; started by `microlens-build work`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import redis
import uvloop
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from download_nodes import jobs
from download_nodes.node import Node
from microlens.errors import MicrolensError
from microlens.logs import configure_logs
from microlens.runs import open_run
from microlens.settings import Settings


class NodeWorker(SimpleWorker):
    """Runs jobs in this very process, so that connections, names and TLS live as long as it does."""

    job_class = jobs.NodeJob

    def request_stop(self, signum: Any, frame: Any) -> None:
        jobs.stop()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def main(run_folder: str, redis_url: str) -> int:
    configure_logs()
    run = open_run(Path(run_folder), Settings())
    connection = redis.Redis.from_url(redis_url)
    queue = Queue(jobs.queue_name(run.run_id), connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
    logging.getLogger("rq.worker").setLevel(logging.ERROR)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        jobs.install(lambda: Node(run, redis_url), runner)
        worker = NodeWorker([queue], connection=connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
        try:
            worker.work(logging_level="ERROR")
        finally:
            jobs.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except MicrolensError as error:
        sys.stderr.write(f"download node: {error}\n")
        sys.exit(error.exit_code)

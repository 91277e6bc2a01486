"""From the start of a node's program to the first request at a server; and what its imports take."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.made_runs import finish_videos, make_run
from download_nodes.jobs import DRAIN_S, NodeJob, drain, queue_name
from microlens.embedded import redis_server
from microlens.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GOAL_S = 1.0
_TOP = 10
_FINISHED = 40_000
_WORKER = "download_nodes"


def run(items: int) -> Iterator[str]:
    """Start each program so many times."""
    with tempfile.TemporaryDirectory() as name:
        yield f"from the start of a program to the first request at a server (goal under {_GOAL_S:g} s for a node)"
        for told, command, finished in (
            ("download_nodes", _worker, 0),
            ("microlens-build work", _work, 0),
            (f"the same, {_FINISHED:,} videos finished", _work, _FINISHED),
        ):
            folders = [Path(name) / f"{told}-{turn}" for turn in range(items)]
            seconds = sorted(_first_byte_s(folder, command, finished) for folder in folders)
            yield f"  {told:32} best {seconds[0]:5.2f} s, median {seconds[items // 2]:5.2f} s of {items}"
    yield f"  imports of {_WORKER}, a package at a time (without those that it imports itself):"
    for package, milliseconds in _import_ms().items():
        yield f"    {package:22} {milliseconds:6.0f} ms"


def _worker(folder: Path, _redis_url: str) -> list[str]:
    return [sys.executable, "-m", _WORKER, str(folder), _redis_url]


def _work(folder: Path, _redis_url: str) -> list[str]:
    return [sys.executable, "-m", "microlens.cli", "work", str(folder), "-n", "1"]


def _first_byte_s(folder: Path, command: Callable[[Path, str], list[str]], finished: int) -> float:
    with socket.create_server(("127.0.0.1", 0)) as server, redis_server(None) as redis_url:
        run = make_run(folder, redis_url, [f"http://127.0.0.1:{server.getsockname()[1]}/cover.jpg"])
        if finished:
            made = run.store.temporary()
            made.write_bytes(b"the bytes of all files")
            sha256 = sha256_of(made)
            run.store.put(made, sha256)
            deque(finish_videos(run.ledger, finished, sha256=sha256), maxlen=0)
        _ring(redis_url, run.shared_name)
        began = time.perf_counter()
        environment = {**os.environ, "MICROLENS_REDIS_URL": redis_url}
        process = subprocess.Popen(
            command(run.folder, redis_url), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            connection, _ = server.accept()
            with connection:
                connection.recv(1)
                seconds = time.perf_counter() - began
        finally:
            process.send_signal(signal.SIGINT)  # what `work` has started ends before it
            process.wait()
            run.ledger.close()
    return seconds


def _ring(redis_url: str, shared_name: str) -> None:
    """Have a job wait for the worker, as one does wherever nodes are added to a crawl."""
    with redis.Redis.from_url(redis_url) as client:
        queue = Queue(queue_name(shared_name), connection=client, serializer=JSONSerializer, job_class=NodeJob)
        queue.enqueue(f"{drain.__module__}.{drain.__name__}", DRAIN_S, job_timeout=-1)


def _import_ms() -> dict[str, float]:
    """Milliseconds by top-level package, of the modules' own code."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {_WORKER}.worker"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    times: defaultdict[str, float] = defaultdict(float)
    for line in lines[1:]:
        own_us, _, name = line.removeprefix("import time:").split("|")
        times[name.strip().partition(".")[0]] += float(own_us) / 1000
    return dict(sorted(times.items(), key=lambda one: one[1], reverse=True)[:_TOP])

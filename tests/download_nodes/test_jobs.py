"""What a queue may make a node do: our own jobs, and nothing else that a payload names."""

import asyncio
import inspect
import json
import signal
import subprocess
import sys
import zlib

import pytest
import redis
import rq
from rq.job import Callback
from rq.serializers import JSONSerializer

from download_nodes import jobs
from download_nodes.supervise import _Doorbell
from download_nodes.worker import NodeWorker

SONG = "tests.download_nodes.canary.sing"


class FakeNode:
    """Stands where a node would, and counts."""

    def __init__(self):
        self.drained = []

    async def drain(self, seconds):
        self.drained.append(seconds)
        return {}

    async def rest(self):
        pass

    async def close(self):
        pass

    def stop(self):
        pass


@pytest.fixture
def canary(tmp_path, monkeypatch):
    monkeypatch.setenv("MICROLENS_TEST_CANARY", str(tmp_path / "canary"))
    return tmp_path / "canary"


@pytest.fixture
def connection(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def queue(connection, tmp_path):
    """A queue as anybody fills it who can write to Redis."""
    return rq.Queue(jobs.queue_name(tmp_path.name), connection=connection, serializer=JSONSerializer)


@pytest.fixture
def node(monkeypatch):
    """A node in this very process; RQ's signal handlers are taken back."""
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    handlers = [signal.getsignal(name) for name in names]
    fake = FakeNode()
    with asyncio.Runner() as runner:
        jobs.install(lambda: fake, runner)
        yield fake
    monkeypatch.setattr(jobs._ThisNode, "node", None)
    monkeypatch.setattr(jobs._ThisNode, "runner", None)
    for name, handler in zip(names, handlers, strict=True):
        signal.signal(name, handler)


def work_off(queue):
    own = rq.Queue(queue.name, connection=queue.connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
    worker = NodeWorker([own], connection=queue.connection, serializer=JSONSerializer, job_class=jobs.NodeJob)
    worker.work(burst=True, logging_level="CRITICAL")


def test_the_names_and_arguments_of_jobs_are_a_wire_format():
    """Queued jobs outlive a new version: neither names nor arguments may change."""
    shapes = {name: str(inspect.signature(function)) for name, function in jobs.JOBS.items()}

    assert {"download_nodes.jobs.drain": "(seconds: 'float' = 60.0) -> 'dict[str, int]'"} == shapes
    assert "microlens-demo" == jobs.queue_name("demo")


def test_the_doorbell_queues_that_job(queue, redis_url, tmp_path, connection):
    """What the supervisor puts in Redis is JSON: name, no instance, arguments."""
    _Doorbell(redis_url, tmp_path.name).ring(2)
    payloads = [zlib.decompress(connection.hget(f"rq:job:{job_id}", "data")) for job_id in queue.job_ids]

    assert [["download_nodes.jobs.drain", None, [60.0], {}]] * 2 == [json.loads(payload) for payload in payloads]


def test_one_waiting_job_a_process_is_enough(queue, redis_url, tmp_path):
    """Ringing again while nobody has come adds nothing."""
    doorbell = _Doorbell(redis_url, tmp_path.name)
    for _ in range(5):
        doorbell.ring(3)

    assert 3 == queue.count


def test_our_job_is_run(queue, node):
    """The one job of the table reaches the node with its argument."""
    job = queue.enqueue("download_nodes.jobs.drain", 7.0)
    work_off(queue)

    assert [7.0] == node.drained
    assert job.get_status(refresh=True) == "finished"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("os.system", ["touch {canary}"]),
        ("subprocess.check_output", [["touch", "{canary}"]]),
        ("builtins.exec", ["open('{canary}', 'w')"]),
        (SONG, []),
        ("download_nodes.jobs.stop", []),
        ("download_nodes.jobs.JOBS.clear", []),
        ("", []),
    ],
)
def test_any_other_name_is_refused(queue, node, canary, name, arguments):
    """The job fails, nothing of it runs, and the worker goes on to the next."""
    filled = json.loads(json.dumps(arguments).replace("{canary}", str(canary)))
    job = queue.create_job(name or "x", args=filled)
    job._func_name = name
    queue.enqueue_job(job)
    queue.enqueue("download_nodes.jobs.drain", 1.0)
    work_off(queue)

    assert not canary.exists()
    assert job.get_status(refresh=True) == "failed"
    assert [1.0] == node.drained
    assert ["download_nodes.jobs.drain"] == list(jobs.JOBS)


@pytest.mark.parametrize("name", ["download_nodes.jobs.drain", "os.getcwd"])
@pytest.mark.parametrize("when", ["on_success", "on_failure", "on_stopped"])
def test_callbacks_are_never_run(queue, node, canary, name, when):
    """Neither beside a job of ours nor beside a refused one."""
    arguments = [1.0] if "drain" in name else []
    queue.enqueue(name, *arguments, **{when: Callback(SONG)})
    queue.enqueue("download_nodes.jobs.drain", 2.0)
    work_off(queue)

    assert not canary.exists()
    assert 2.0 == node.drained[-1]


@pytest.mark.parametrize("which", ["success_callback", "failure_callback", "stopped_callback"])
def test_a_callback_that_a_payload_names_is_an_error(queue, which):
    """Asking for it raises; nothing is imported."""
    job = jobs.NodeJob.create("download_nodes.jobs.drain", connection=queue.connection, serializer=JSONSerializer)
    setattr(job, f"_{which}_name", "os.system")

    with pytest.raises(jobs.RefusedJobError, match=r"os\.system"):
        getattr(job, which)


@pytest.mark.parametrize("name", ["download_nodes.jobs.drain", "os.getcwd"])
def test_webhooks_are_never_sent(queue, node, site, name):
    """A payload cannot make a node ask any address."""
    arguments = [1.0] if "drain" in name else []
    hooks = [rq.Webhook(f"{site.url}/hook", status) for status in ("finished", "failed")]
    queue.enqueue(name, *arguments, webhooks=hooks)
    work_off(queue)

    assert [] == site.asked


def test_a_pickled_payload_is_not_loaded(queue, node, canary, connection):
    """Bytes that are not JSON fail their job; nothing is unpickled."""
    job = queue.enqueue("download_nodes.jobs.drain", 1.0)
    pickled = f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()
    connection.hset(f"rq:job:{job.id}", "data", pickled)
    work_off(queue)

    assert not canary.exists()
    assert [] == node.drained


def test_a_process_that_is_no_node_refuses(monkeypatch):
    """A plain `rq worker` has no node to drain with."""
    monkeypatch.setattr(jobs._ThisNode, "node", None)

    with pytest.raises(jobs.RefusedJobError, match="no download node"):
        jobs.drain(1.0)


BROKEN = """
import asyncio
from download_nodes import jobs

class Broken:
    async def rest(self):
        pass

    async def drain(self, seconds):
        raise RuntimeError("nobody foresaw this")

with asyncio.Runner() as runner:
    jobs.install(Broken, runner)
    jobs.drain(1.0)
"""


def test_a_bug_ends_the_process_and_not_the_job_alone():
    """RQ would give a process whose node is in an unknown state the next job, and the next, for ever."""
    ended = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=60, check=False)

    assert 70 == ended.returncode
    assert "RuntimeError: nobody foresaw this" in ended.stderr

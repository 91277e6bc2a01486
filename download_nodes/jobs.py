"""RQ's entry points. Their names and arguments are a wire format: change neither while jobs may be queued.

RQ resolves any dotted name that a payload holds, whatever the serializer, and so would run `os.system` for anybody
who can write to Redis. NodeJob takes names from the table below alone, and takes no callbacks at all.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from rq.job import Job

from microlens.errors import BUG_EXIT_CODE, MicrolensError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from download_nodes.node import Node

DRAIN_S = 60.0
QUEUE_PREFIX = "microlens"


class RefusedJobError(MicrolensError):
    """A payload names something that is no job of ours."""


class _ThisNode:
    """The one node of this worker process, with the event loop that it lives in."""

    node: Node | None = None
    runner: asyncio.Runner | None = None


def install(make_node: Callable[[], Node], runner: asyncio.Runner) -> None:
    """Make this process's node; called once by the worker, before it takes jobs."""

    async def make() -> Node:
        node = make_node()
        await node.rest()
        return node

    _ThisNode.runner = runner
    _ThisNode.node = runner.run(make())


def stop() -> None:
    """Let the job that is running, if any, come to its end early."""
    if _ThisNode.node is not None:
        _ThisNode.node.stop()


def close() -> None:
    """End the node's connections; the worker takes no more jobs."""
    if _ThisNode.node is not None and _ThisNode.runner is not None:
        _ThisNode.runner.run(_ThisNode.node.close())


def drain(seconds: float = DRAIN_S) -> dict[str, int]:
    """Do whatever the frontier has due, for up to `seconds`."""
    if _ThisNode.node is None or _ThisNode.runner is None:
        raise RefusedJobError(
            "this process is no download node", hint="start workers with `microlens-build work`, not with `rq worker`"
        )
    try:
        return _ThisNode.runner.run(_ThisNode.node.drain(seconds))
    except MicrolensError as error:
        _die(f"download node: {error}\n", error.exit_code)
    except Exception:  # noqa: BLE001 - a bug met here has left the node in a state that nobody knows
        _die(traceback.format_exc(), BUG_EXIT_CODE)


def _die(last_words: str, exit_code: int) -> NoReturn:
    """End this process: RQ would note a failed job, and give it the next. What it holds comes back with its leases."""
    sys.stderr.write(last_words)
    sys.stderr.flush()
    os._exit(exit_code)


JOBS: dict[str, Callable[..., Any]] = {"download_nodes.jobs.drain": drain}


class NodeJob(Job):
    """A job whose function comes from JOBS; what a payload says beyond that is refused."""

    @property
    def func(self) -> Callable[..., Any]:
        name = self.func_name
        if name not in JOBS:
            raise RefusedJobError(
                f"a queued job names {name!r}, which is no job of ours: it was not run",
                hint=f"jobs are {', '.join(JOBS)}; find out who else writes to this Redis",
            )
        return JOBS[name]

    @property
    def success_callback(self) -> None:
        self._refuse(self._success_callback_name)

    @property
    def failure_callback(self) -> None:
        self._refuse(self._failure_callback_name)

    @property
    def stopped_callback(self) -> None:
        self._refuse(self._stopped_callback_name)

    def send_webhooks(self, *_: Any, **__: Any) -> None:
        """Send nothing: a payload could have a node post to any address."""

    def _refuse(self, callback: str | None) -> None:
        if callback:
            raise RefusedJobError(
                f"a queued job names the callback {callback!r}: callbacks are never run",
                hint="find out who else writes to this Redis",
            )


def queue_name(shared_name: str) -> str:
    return f"{QUEUE_PREFIX}-{shared_name}"

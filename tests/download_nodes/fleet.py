"""Node processes to be killed and stopped: forked from one that has everything loaded, so that a life costs little."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

from download_nodes import node, worker
from microlens.frontier import LEASE_S, Frontier
from microlens.runs import open_run
from microlens.settings import Settings

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.download_nodes.fleet"])


class NodeProcess:
    """A worker as `python -m download_nodes` is one, but that its times may be shorter."""

    def __init__(self, run, redis_url, *, log, lease_s=LEASE_S, grace_s=node.GRACE_S):
        self.log = log
        arguments = (str(run.folder), redis_url, str(log), (lease_s, grace_s))
        self._process = CONTEXT.Process(target=_serve, args=arguments)
        self._process.start()

    @property
    def pid(self):
        return self._process.pid

    @property
    def children(self):
        """Those that measure for it: process id, and when it began, since numbers come again."""
        stats = {int(path.name): _stat(path.name) for path in Path("/proc").glob("[0-9]*")}
        return [(pid, stat[_BEGAN]) for pid, stat in stats.items() if stat and int(stat[1]) == self.pid]

    @property
    def is_alive(self):
        return self._process.is_alive()

    def kill(self):
        self.end(signal.SIGKILL)

    def send(self, how=signal.SIGTERM):
        os.kill(self.pid, how)

    def end(self, how=signal.SIGTERM, *, within_s=60.0):
        """Send a signal and wait; gives the exit code."""
        self.send(how)
        return self.wait(within_s)

    def end_if_alive(self):
        if self.is_alive:
            self.kill()

    def wait(self, within_s=60.0):
        self._process.join(within_s)
        assert not self.is_alive, f"the node did not end\n{self.told()}"
        return self._process.exitcode

    def told(self):
        return self.log.read_text(errors="replace")


def _serve(folder, redis_url, log, times):
    with Path(log).open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    shorten(*times)
    worker.serve(open_run(Path(folder), Settings()), redis_url)


def shorten(lease_s, grace_s):
    """Have what a dead process held come back sooner, and one that is to stop be quicker, than a user would want it."""
    for method in (Frontier.claim, Frontier.renew, Frontier.board, Frontier.keep_flying):
        assert "lease_s" in method.__kwdefaults__
        method.__kwdefaults__["lease_s"] = lease_s
    node._RENEW_S = lease_s / 3
    node.GRACE_S = grace_s


def wait_until(is_so, within_s, what=""):
    """Look again and again; AssertionError if it does not come to be."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what() if callable(what) else what}"
        time.sleep(0.02)


def are_gone(children):
    """Whether none of these processes lives; one that only waits to be buried does not."""
    return not [pid for pid, began in children if (stat := _stat(pid)) and stat[_BEGAN] == began and stat[0] != "Z"]


_BEGAN = 19


def _stat(pid):
    """State, parent, and so on (proc(5)); None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None

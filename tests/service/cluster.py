"""Collectors, nodes and a Redis as processes of their own, killed and started again while they work."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from microlens.embedded import _binary, check_redis
from microlens.errors import RedisUnreachableError

if TYPE_CHECKING:
    from pathlib import Path

_UNREACHABLE = 5


class OwnRedis:
    """A server on a port of this machine that keeps nothing on disk: killed and started again, it is empty."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self) -> None:
        options = {"port": self._port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self._folder}
        arguments = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([_binary(), *arguments], stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 10
        while True:
            try:
                return check_redis(self.url)
            except RedisUnreachableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass
class Member:
    """One command line of the cluster, started again for as long as it has not ended well."""

    name: str
    arguments: list[str]
    cli: object
    folder: Path
    process: subprocess.Popen | None = None
    is_done: bool = False
    is_leaving: bool = False
    """It was asked to end, to begin again in another manner."""
    losses: int = 0
    """How often it has ended since Redis was lost."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = self.cli.start(*self.arguments, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """SIGKILL to the whole process group, as if its machine had lost its power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def leave(self) -> None:
        self.is_leaving = True
        self.process.terminate()

    def look(self, *, is_redis_lost: bool) -> None:
        """Note that it has ended well, or start it again if it ended for the loss of Redis; any other end is a bug."""
        if self.is_done or self.process is None or self.process.poll() is None:
            return
        code = self.process.returncode
        if self.is_leaving:
            self.is_leaving = False
        elif code == 0:
            self.is_done = True
            return
        elif code == _UNREACHABLE and is_redis_lost:
            self.losses += 1
        else:
            raise AssertionError(f"{self.name} ended with exit code {code}\n{tail(self.log, 40)}")
        self.start()


class Cluster:
    """Two collectors and two nodes on one run."""

    def __init__(self, cli, recipe: Path, run: str, folder: Path) -> None:
        self._cli, self._folder = cli, folder
        self._run = run
        self.collectors = [Member(f"collector{n}", ["crawl", recipe], cli, folder) for n in (1, 2)]
        self.nodes = [Member(f"node{n}", ["work", run, "-n", "1", "--forever"], cli, folder) for n in (1, 2)]
        self.kills: list[float] = []
        self.losses: list[float] = []
        """Moments when Redis lost its data."""
        self._turn = 0

    @property
    def members(self) -> list[Member]:
        return [*self.collectors, *self.nodes]

    def start(self) -> None:
        """The collectors together, the nodes once there is a run."""
        for collector in self.collectors:
            collector.start()
        run_file = self._cli.folder / "runs" / self._run / "run.json"
        while not run_file.exists():
            self.look()
            time.sleep(0.05)
        for node in self.nodes:
            node.start()

    def look(self) -> bool:
        """Start again what has failed; True when all have ended well."""
        for member in self.members:
            member.look(is_redis_lost=bool(self.losses))
        if all(collector.is_done for collector in self.collectors):
            for node in self.nodes:
                if "--forever" in node.arguments:
                    # Nothing more is found: from now on a node may end when nothing is left to fetch.
                    node.arguments.remove("--forever")
                    node.leave()
        return all(member.is_done for member in self.members)

    def kill_one_of_each(self) -> None:
        """Kill a collector and a node that are at work, in turn, and start them again at once."""
        self._turn += 1
        for kind in (self.collectors, self.nodes):
            alive = [member for member in kind if member.process and member.process.poll() is None]
            if alive:
                victim = alive[self._turn % len(alive)]
                victim.kill()
                self.kills.append(time.time())
                victim.start()

    def lose(self, redis: OwnRedis) -> str:
        """Redis is killed and comes back empty, in the midst of everything; then what a user does: `recover`."""
        redis.kill()
        self.losses.append(time.time())
        redis.start()
        return self._cli("recover", self._run)[1]

    def stop(self) -> None:
        for member in self.members:
            if member.process is not None and member.process.poll() is None:
                member.kill()

    def tails(self) -> str:
        return "\n".join(
            f"--- {member.name}, ended {member.losses} times for the loss of Redis\n{tail(member.log)}"
            for member in self.members
        )


def tail(path: Path, lines: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

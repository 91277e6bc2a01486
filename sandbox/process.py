"""A sandbox in a process of its own, for tests and the demo."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from microlens.errors import SiteUnreachableError
from sandbox.faults import FaultConfig
from sandbox.world import World, WorldConfig, generate

if TYPE_CHECKING:
    from types import TracebackType

_READY = "sandbox on "
_STOP_S = 5.0


class SandboxSite:
    """Starts `python -m sandbox` on a free port and stops it at the end of the block.

    >>> with SandboxSite(videos=60, users=200, seed=1, frozen=True) as site:  # doctest: +SKIP
    ...     urllib.request.urlopen(site.url)
    """

    def __init__(
        self,
        *,
        videos: int = WorldConfig.videos,
        users: int = WorldConfig.users,
        seed: int = WorldConfig.seed,
        frozen: bool = False,
        shuffle_tastes: bool = False,
        media_dir: Path | None = None,
        prepare: bool = False,
        log_file: Path | None = None,
        crawl_delay: float | None = None,
        links_expire_s: float | None = None,
        hosts: int = WorldConfig.hosts,
        with_media: int | None = None,
        media_variety: int | None = None,
        faults: FaultConfig | None = None,
        port: int = 0,
        day: int = 0,
        hls: float = WorldConfig.hls,
        ready_within_s: float = 120.0,
    ) -> None:
        self.config = WorldConfig(videos, users, seed, shuffle_tastes, hosts, with_media, media_variety, day, hls)
        self.url = ""
        """The first host's."""
        self.urls: tuple[str, ...] = ()
        """All hosts'."""
        self.log_file = log_file
        self._ready_within_s = ready_within_s
        self._arguments = [
            f"--videos={videos}",
            f"--users={users}",
            f"--seed={seed}",
            f"--port={port}",
            f"--day={day}",
            f"--hls={hls}",
        ]
        switches = {"--frozen": frozen, "--shuffle-tastes": shuffle_tastes, "--prepare": prepare}
        self._arguments += [name for name, is_on in switches.items() if is_on]
        values: dict[str, object] = {"--media-dir": media_dir, "--log": log_file, "--crawl-delay": crawl_delay}
        values["--links-expire-s"] = links_expire_s
        values |= {"--hosts": hosts, "--with-media": with_media, "--media-variety": media_variety}
        values |= {
            f"--fault-{name.replace('_', '-')}": value for name, value in asdict(faults or FaultConfig()).items()
        }
        self._arguments += [f"{name}={value}" for name, value in values.items() if value is not None]

    @cached_property
    def world(self) -> World:
        """The world that the site shows, made again here."""
        return generate(self.config)

    def log(self) -> dict[str, int]:
        """Ask the site how often each path was asked for."""
        with urllib.request.urlopen(f"{self.url}/admin/log", timeout=30) as response:  # noqa: S310 our own address
            return cast("dict[str, int]", json.load(response)["requests"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait for its line; a site that does not come up is stopped again."""
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *self._arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        line = self._first_line()
        if not line.startswith(_READY):
            self.stop()
            raise SiteUnreachableError(
                f"the sandbox did not come up within {self._ready_within_s:g} s; its first line was {line!r}",
                hint=f"run `python -m sandbox {' '.join(self._arguments)}` to see why",
            )
        self.urls = tuple(line.removeprefix(_READY).split())
        self.url = self.urls[0]

    def stop(self) -> None:
        """End the process, by force if it does not go."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _first_line(self) -> str:
        """Read in a thread: a pipe has no time-out of its own."""
        lines: queue.Queue[str] = queue.Queue()
        pipe = self._process.stdout
        assert pipe is not None
        threading.Thread(target=lambda: lines.put(pipe.readline()), daemon=True).start()
        try:
            return lines.get(timeout=self._ready_within_s)
        except queue.Empty:
            return ""

"""The demo's recipe, and the site that it is for: `python -m sandbox`, on this machine."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from microlens.children import start_child, stop_child
from microlens.errors import SiteUnreachableError
from microlens.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microlens.cli.reporter import Reporter

_SITE_START_S = 120.0
DEMO_SEED_SHARE = 0.4


def demo_recipe(*, videos: int, users: int, seed: int, port: int) -> Recipe:
    """The paper's recipe, made small enough for the sandbox site."""
    usual = (videos, users, seed, port) == (300, 4000, 7, 8765)
    return Recipe.model_validate(
        {
            "name": "demo" if usual else f"demo-{videos}-{users}-{seed}-{port}",
            "platform": "sandbox",
            "instances": [f"http://127.0.0.1:{port}"],
            "contact": "demo@example.org",
            "seed": seed,
            "seeds": {"target": max(1, int(DEMO_SEED_SHARE * videos)), "max_stale_refreshes": 5},
            "releases": [{"name": "demo"}],
            # Our own site on our own machine: it need not be spared.
            "politeness": {"requests_per_second": 2000, "concurrency": 64},
            "network": {"allow": ["127.0.0.0/8"]},
        }
    )


@contextlib.contextmanager
def sandbox_site(*, videos: int, users: int, seed: int, port: int, reporter: Reporter) -> Iterator[None]:
    """Run `python -m sandbox` for the length of the block."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SiteUnreachableError(
                f"the sandbox cannot listen on 127.0.0.1:{port}: {error.strerror}",
                hint="stop what uses the port, or choose another with --port",
            ) from error
    arguments = [sys.executable, "-m", "sandbox", "--frozen", "--videos", str(videos), "--users", str(users)]
    arguments += ["--seed", str(seed), "--port", str(port)]
    site = start_child(arguments, stdout=subprocess.DEVNULL)
    try:
        _wait_for_site(site, port, reporter)
        yield
    finally:
        site.send_signal(signal.SIGTERM)
        stop_child(site)


def _wait_for_site(site: subprocess.Popen[bytes], port: int, reporter: Reporter) -> None:
    deadline = time.monotonic() + _SITE_START_S
    while time.monotonic() < deadline and site.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        reporter.tick("sandbox", lambda: {"starting on port": str(port)})
        time.sleep(0.05)
    raise SiteUnreachableError(
        f"the sandbox did not start on port {port} (exit code {site.returncode})",
        hint=f"run `python -m sandbox --port {port}` to see why",
    )

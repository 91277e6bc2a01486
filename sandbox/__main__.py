"""Runs the site: `python -m sandbox --videos 300 --users 4000 --seed 7 --port 0`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from microlens.errors import MicrolensError
from sandbox.faults import FaultConfig
from sandbox.media import prepare
from sandbox.server import make_app
from sandbox.world import WorldConfig, generate

if TYPE_CHECKING:
    from collections.abc import Sequence

FAULT_OPTIONS = {
    "seed": "draws the faults",
    "error_share": "requests answered with 500, 502 or 503, 0 to 1",
    "stall_share": "requests met with silence, before the answer or in its midst, 0 to 1",
    "cut_share": "requests whose connection ends at once, before the answer or in its midst, 0 to 1",
    "burst_every": "requests of a host, on average, between two bursts of 429 (0: none)",
    "burst_s": "seconds that a burst lasts, rounded up to a full second of the clock",
    "stall_s": "seconds of silence, then the connection ends",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; one line on standard output says where."""
    options = _parser().parse_args(arguments)
    try:
        config = WorldConfig(**{field.name: getattr(options, field.name) for field in fields(WorldConfig)})
        faults = FaultConfig(**{name: getattr(options, f"fault_{name}") for name in FAULT_OPTIONS})
    except MicrolensError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return error.exit_code
    world = generate(config)
    with contextlib.ExitStack() as stack:
        folder = options.media_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-media-")))
        log = stack.enter_context(options.log.open("a", encoding="utf-8")) if options.log else None
        if options.prepare:
            prepare(world, folder, options.processes)
        app = make_app(
            world,
            frozen=options.frozen,
            media_dir=folder,
            crawl_delay=options.crawl_delay,
            log=log,
            faults=faults,
            links_expire_s=options.links_expire_s,
        )
        asyncio.run(_serve(app, (options.host, *world.addresses[1:]), options.port))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--videos", type=int, default=WorldConfig.videos)
    parser.add_argument("--users", type=int, default=WorldConfig.users, help="users with at least five videos")
    parser.add_argument("--seed", type=int, default=WorldConfig.seed)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--frozen", action="store_true", help="pages depend on their address alone")
    parser.add_argument("--shuffle-tastes", action="store_true", help="leave nothing to learn but popularity")
    parser.add_argument("--day", type=int, default=0, help="days since the world was made: the same site, later")
    parser.add_argument("--media-dir", type=Path, help="keep media here (default: a temporary folder)")
    parser.add_argument("--prepare", action="store_true", help="make all media before the first request")
    parser.add_argument("--processes", type=int, default=2, help="processes for --prepare")
    parser.add_argument("--log", type=Path, help="append a JSON line a request to this file")
    parser.add_argument("--links-expire-s", type=float, help="seconds that a link to media lasts (default: for ever)")
    parser.add_argument("--crawl-delay", type=float, help="seconds that robots.txt asks for")
    parser.add_argument("--hosts", type=int, default=WorldConfig.hosts, help="addresses to serve on, from 127.0.0.1 on")
    parser.add_argument("--with-media", type=int, help="videos that carry media (default: all)")
    parser.add_argument(
        "--media-variety", type=int, help="encodings to make, borrowed by all videos (default: no limit)"
    )
    parser.add_argument("--hls", type=float, default=WorldConfig.hls, help="share of the clips served as HLS alone")
    defaults = FaultConfig()
    for name, words in FAULT_OPTIONS.items():
        value = getattr(defaults, name)
        parser.add_argument(f"--fault-{name.replace('_', '-')}", type=type(value), default=value, help=words)
    return parser


async def _serve(app: web.Application, addresses: Sequence[str], port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    # A handler whose client went away ends there: the log then says how long a request was really open.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        port = await _listen(runner, addresses, port)
        sys.stdout.write(f"sandbox on {' '.join(f'http://{address}:{port}' for address in addresses)}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, addresses: Sequence[str], port: int) -> int:
    """Listen on one port of all addresses; port 0 takes one that is free on each of them."""
    while True:
        sites: list[web.TCPSite] = []
        found = port
        try:
            for address in addresses:
                sites.append(web.TCPSite(runner, address, found))
                await sites[-1].start()
                found = int(runner.addresses[0][1])
        except OSError:
            if port or len(sites) == 1:
                raise
            for site in sites[:-1]:
                await site.stop()
        else:
            return found


if __name__ == "__main__":
    sys.exit(main())

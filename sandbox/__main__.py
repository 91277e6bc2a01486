"""Runs the site: `python -m sandbox --videos 300 --users 4000 --seed 7 --port 0`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aiohttp import web

from microlens.errors import MicrolensError
from sandbox.media import prepare
from sandbox.server import make_app
from sandbox.world import World, WorldConfig, generate

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; one line on standard output says where."""
    options = _parser().parse_args(arguments)
    try:
        config = WorldConfig(options.videos, options.users, options.seed, options.shuffle_tastes, options.day)
    except MicrolensError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return error.exit_code
    world = generate(config)
    with contextlib.ExitStack() as stack:
        folder = options.media_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-media-")))
        log = stack.enter_context(options.log.open("a", encoding="utf-8")) if options.log else None
        if options.prepare:
            prepare(world, folder, options.processes)
        asyncio.run(_serve(world, options, folder, log))
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
    parser.add_argument("--crawl-delay", type=float, help="seconds that robots.txt asks for")
    return parser


async def _serve(world: World, options: argparse.Namespace, folder: Path, log: TextIO | None) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    app = make_app(world, frozen=options.frozen, media_dir=folder, crawl_delay=options.crawl_delay, log=log)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        port = runner.addresses[0][1]
        sys.stdout.write(f"sandbox on http://{options.host}:{port}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.node_process all|fetch FOLDER REDIS_URL`: a node that drains a run's frontier, and ends.

It is what `python -m download_nodes` is but for RQ, which hands out the drains. With `fetch` nothing is measured: the
record of a file has its hash and size alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from microlens.garbage import collect_seldom

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.records import AssetKind, AssetRecord
    from microlens.runs import Run

_LONG_S = 3600.0


def drain(run: Run, redis_url: str) -> dict[str, int]:
    """Work until nothing is left."""
    import uvloop

    from download_nodes.node import Node

    async def work() -> dict[str, int]:
        node = Node(run, redis_url)
        try:
            return await node.drain(_LONG_S)
        finally:
            await node.close()

    collect_seldom()
    counts: dict[str, int] = uvloop.run(work())
    return counts


def _measure_nothing() -> None:
    """Have nobody look into files."""
    import download_nodes.media
    from microlens.records import AssetRecord
    from microlens.sniff import UNKNOWN

    class Unmeasured:
        """Stands in for download_nodes.measuring.Measurer."""

        async def measure(
            self, _path: Path, *, kind: AssetKind, platform: str, video_id: str, sha256: str, size_bytes: int
        ) -> AssetRecord:
            return AssetRecord(platform, video_id, kind, sha256, size_bytes, UNKNOWN)

        async def close(self) -> None:
            """Nothing of it is open."""

    vars(download_nodes.media)["Measurer"] = Unmeasured


def _main(mode: str, folder: str, redis_url: str) -> None:
    collect_seldom()
    import json
    from pathlib import Path

    from microlens.runs import open_run
    from microlens.settings import Settings

    if mode == "fetch":
        _measure_nothing()
    sys.stdout.write(json.dumps(drain(open_run(Path(folder), Settings()), redis_url)) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])

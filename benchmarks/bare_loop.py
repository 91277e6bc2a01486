"""`python -m benchmarks.bare_loop URLS FOLDER`: stream, hash, write, rename; the least that a download node can do.

There is no frontier, no ledger, no fsync, no check of anything: killed, it has lost what it knew.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import aiohttp
import uvloop

WIDTH = 24
"""As many requests at once as a node makes to one host."""
_CHUNK_BYTES = 256 << 10


async def fetch_all(urls: list[str], folder: Path) -> None:
    """Fetch every URL to a file named by its hash."""
    queue = list(enumerate(urls))

    async def fetch(session: aiohttp.ClientSession) -> None:
        while queue:
            number, url = queue.pop()
            digest, temporary = hashlib.sha256(), folder / f"{number}.tmp"
            async with session.get(url) as response:
                response.raise_for_status()
                with temporary.open("wb") as file:
                    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                        digest.update(chunk)
                        file.write(chunk)
            temporary.rename(folder / digest.hexdigest())

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(fetch(session) for _ in range(WIDTH)))


if __name__ == "__main__":
    into = Path(sys.argv[2])
    into.mkdir()
    uvloop.run(fetch_all(Path(sys.argv[1]).read_text().split(), into))

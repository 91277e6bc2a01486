"""Fetches one file in a process of its own, to be killed or weighed: `python -m tests.download_nodes.fetch_alone`.

METHOD (download or playlist), URL and FOLDER, where it becomes `done`; says its size or why there is none, and the
process's peak memory.
"""

import asyncio
import resource
import sys
from pathlib import Path

from download_nodes.fetch import Fetcher, FetchError
from microlens.addresses import origin_of
from microlens.network import NetworkPolicy
from microlens.recipe import Recipe


async def nothing(_url):
    return None


async def main(method, url, folder):
    recipe = Recipe(name="alone", platform="sandbox", instances=[origin_of(url)], contact="tests@example.org")
    fetcher = Fetcher(recipe, NetworkPolicy(["127.0.0.0/8"]), nothing, nothing)
    try:
        async with getattr(fetcher, method)(url, folder / "a.part", max_bytes=10**9) as fetched:
            fetched.path.rename(folder / "done")
            return fetched.size_bytes
    except FetchError as error:
        return error.refusal.reason
    finally:
        await fetcher.close()


if __name__ == "__main__":
    told = asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    sys.stdout.write(f"{told} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")

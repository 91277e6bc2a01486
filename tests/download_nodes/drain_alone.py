"""A node that is killed when it is about to do something to a part: `python -m tests.download_nodes.drain_alone`.

Arguments: the run's folder, the address of Redis, an event of Python's audit (`os.rename`, `os.remove`), and what the
path that is renamed or removed holds.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from download_nodes.node import Node
from microlens.runs import open_run
from microlens.settings import Settings


async def drain(run, redis_url):
    node = Node(run, redis_url)
    await node.drain(30.0)
    await node.close()


def main(folder, redis_url, event, word):
    def die(found, arguments):
        if found == event and word in str(arguments[0]):
            os.kill(os.getpid(), signal.SIGKILL)

    run = open_run(Path(folder), Settings(runs_dir=Path(folder).parent))
    sys.addaudithook(die)
    asyncio.run(drain(run, redis_url))


if __name__ == "__main__":
    main(*sys.argv[1:])

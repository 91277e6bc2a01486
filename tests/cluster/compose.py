"""The compose file of this checkout, brought up under a name of its own."""

import json
import subprocess
import time
from dataclasses import dataclass

from tests.cluster.engine import ROOT

_COLLECT_S = 600


@dataclass
class Compose:
    """`docker compose`, as a user in the checkout calls it."""

    environment: dict
    project: str

    def __call__(self, *arguments, recipe=None, check=True, timeout=1200):
        """Run to the end; gives standard output."""
        environment = self.environment | ({"MICROLENS_RECIPE": str(recipe)} if recipe else {})
        command = ["docker", "compose", "--project-name", self.project, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=timeout
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def containers(self, service):
        """What Docker knows of a service's containers."""
        ids = self("ps", "--all", "--quiet", service).split()
        found = subprocess.run(["docker", "inspect", *ids], env=self.environment, check=True, capture_output=True)
        return sorted(json.loads(found.stdout), key=lambda container: container["Name"])

    def query(self, sql):
        """The first column of the first row; None where the tables are not there yet."""
        options = ["--username=microlens", "--dbname=microlens", "--tuples-only", "--no-align", "--command", sql]
        told = self("exec", "--no-TTY", "postgres", "psql", *options, check=False).strip()
        return int(told) if told else None

    def asked(self):
        """How often the site was asked for each of its addresses."""
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/admin/log').read().decode())"
        return json.loads(self("exec", "--no-TTY", "sandbox", "python", "-c", code))["requests"]

    def until(self, is_so, what):
        deadline = time.monotonic() + _COLLECT_S
        while not is_so():
            assert time.monotonic() < deadline, f"{what} did not happen\n{self('logs', '--tail=40')}"
            time.sleep(0.5)

    def await_release(self):
        """Wait until the integrator has ended well; gives what it said."""
        self.until(lambda: self.containers("integrator")[0]["State"]["Status"] == "exited", "the end of the integrator")
        said = self("logs", "--no-log-prefix", "integrator")
        assert self.containers("integrator")[0]["State"]["ExitCode"] == 0, said
        return said

    def copy_run(self, name, folder):
        """Fetch a run's folder out of the volume; gives where it is now."""
        folder.mkdir(exist_ok=True)
        self("cp", f"integrator:/runs/{name}", folder)
        return folder / name

"""A Docker engine with compose: the machine's own, or one that a script beside the checkout brings."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "MICROLENS_DOCKER_ENGINE"
_BESIDE = ROOT.parent / "shared/docker-engine/engine.sh"


@contextlib.contextmanager
def docker_engine():
    """Give the environment in which `docker compose` works; what was started for it is stopped again."""
    if _answers(os.environ):
        yield dict(os.environ)
        return
    script = Path(os.environ.get(SCRIPT, _BESIDE))
    if not script.exists():
        pytest.fail(f"no Docker engine answers, and there is no script to bring one: install Docker, or set {SCRIPT}")
    folder = Path(tempfile.gettempdir()) / "engine"
    environment = {**os.environ, "ENGINE_DIR": str(folder), "DOCKER_CONFIG": str(folder / "docker")}
    was_up, policy = _answers(environment), _forward_policy()
    subprocess.run(["bash", script, "up"], env=environment, check=True)
    try:
        yield environment
    finally:
        if not was_up:
            subprocess.run(["bash", script, "down"], env=environment, check=True)
        # An engine has the machine forward nothing but its own networks, and leaves it at that.
        if policy == "ACCEPT":
            subprocess.run(["iptables", "-P", "FORWARD", "ACCEPT"], check=True)


def _answers(environment):
    if shutil.which("docker") is None:
        return False
    checks = (["docker", "info"], ["docker", "compose", "version"])
    return all(
        subprocess.run(check, env=environment, check=False, capture_output=True).returncode == 0 for check in checks
    )


def _forward_policy():
    if shutil.which("iptables") is None:
        return "ACCEPT"
    rules = subprocess.run(["iptables", "-S", "FORWARD"], check=False, capture_output=True, text=True).stdout
    return next((line.split()[-1] for line in rules.splitlines() if line.startswith("-P FORWARD")), None)

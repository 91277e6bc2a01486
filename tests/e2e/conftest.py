"""Sites and command lines for the end-to-end tests."""

import pytest

from sandbox.process import SandboxSite
from tests.e2e.harness import Cli


@pytest.fixture(scope="session")
def media_dir(tmp_path_factory, worker_id):
    """One folder for all workers of pytest-xdist: a file is there whole or not at all."""
    base = tmp_path_factory.getbasetemp()
    return (base if worker_id == "master" else base.parent) / "media"


@pytest.fixture(scope="session")
def frozen_site(media_dir):
    """A small site whose every answer depends on its seed alone."""
    with SandboxSite(videos=80, users=500, seed=5, frozen=True, media_dir=media_dir, prepare=True) as site:
        yield site


@pytest.fixture
def cli(tmp_path):
    return Cli(tmp_path)

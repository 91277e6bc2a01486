"""Sites and command lines for the end-to-end tests."""

import pytest

from sandbox.process import SandboxSite
from tests.e2e.harness import Cli


@pytest.fixture(scope="session")
def media_dir(shared_dir):
    return shared_dir / "media"


@pytest.fixture(scope="session")
def frozen_site(media_dir):
    """A small site whose every answer depends on its seed alone."""
    with SandboxSite(videos=80, users=500, seed=5, frozen=True, media_dir=media_dir, prepare=True) as site:
        yield site


@pytest.fixture
def cli(tmp_path):
    return Cli(tmp_path)

"""What holds for every test."""

import os
import signal

import pytest
from hypothesis import settings

# The same examples each time, so that a red run is red again; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "seeded"))

# A shell that starts us in the background has Ctrl-C ignored, by us and all that we start; tests send it themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory, worker_id):
    """One folder for all workers of pytest-xdist, for what is there whole or not at all, as a sandbox's media."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    from tests.postgres_server import own_postgres

    with own_postgres() as server:
        yield server

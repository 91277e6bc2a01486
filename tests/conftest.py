"""What holds for every test."""

import os

import pytest
from hypothesis import settings

# The same examples each time, so that a red run is red again; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "seeded"))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this session's own."""
    from tests.postgres_server import own_postgres

    with own_postgres() as server:
        yield server

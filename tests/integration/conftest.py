"""A small run that every test may fill as it likes."""

import pytest

from tests.integration.made import Made


@pytest.fixture
def make(tmp_path):
    """Make runs in folders of their own."""
    open_runs = []

    def one(folder="runs", **recipe):
        open_runs.append(Made(tmp_path / folder, **recipe))
        return open_runs[-1]

    yield one
    for each in open_runs:
        each.close()


@pytest.fixture
def small(make):
    return make()

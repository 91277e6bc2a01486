"""A small run that every test may fill as it likes."""

import shutil

import pytest

from microlens.keeping import Keeping
from tests.integration.made import Made, world


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


@pytest.fixture
def split(make, tmp_path):
    """A run of which this machine has nothing but the ledger; gives it, and so many folders that have all files."""

    def one(count=1, *, parts=3, **recipe):
        made = make(**recipe)
        made.run.ledger.keeping = Keeping("there", "there")
        made.fill(world(3), parts=parts)
        made.run.ledger.keeping = Keeping("here", "here")
        folders = [shutil.copytree(made.run.folder, tmp_path / f"machine{number}") for number in range(count)]
        for gone in ("crawled", "store/objects"):
            shutil.rmtree(made.run.folder / gone)
        return made, folders

    return one

"""A function that no job of ours names: it must never sing."""

import os
from pathlib import Path


def sing(*_):
    Path(os.environ["MICROLENS_TEST_CANARY"]).touch()

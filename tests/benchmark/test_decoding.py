"""A file that kills its decoder is found out, and costs nobody else."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.decoding import Decoders, Unread
from microlens.clips import UnreadableMediaError

GOOD = [Path(str(number)) for number in range(12)]


def read(path):
    """Pixels that tell the path's name; some names are as bad as a file can be."""
    if path.name == "dies":
        os.abort()
    if path.name == "hungers":
        bytearray(3 << 30)
    if path.name == "broken":
        raise UnreadableMediaError(path, "broken")
    if path.name == "writes":
        try:
            path.with_name("made").write_text("x")
        except PermissionError:
            raise UnreadableMediaError(path, "may_not_write") from None
    if path.name == "0":
        time.sleep(0.2)  # the first is the last to be done
    return np.full((2, 2), int(path.name), np.uint8)


def told(answers):
    return [each.reason if isinstance(each, Unread) else int(each[0, 0]) for each in answers]


@pytest.mark.parametrize("ahead", [1, 5, 100])
def test_answers_come_in_order(ahead):
    """Whoever is done first, and however many are in work."""
    with Decoders(2, read) as decoders:
        found = told(decoders.map(GOOD, ahead=ahead))

    assert list(range(12)) == found


def test_who_dies_is_blamed_alone():
    """Those that were in work beside it have their pixels, and those behind it too."""
    paths = [*GOOD[:3], Path("dies"), *GOOD[3:6], Path("broken"), Path("dies"), *GOOD[6:8]]
    with Decoders(2, read) as decoders:
        found = told(decoders.map(paths, ahead=4))

    assert [0, 1, 2, "decoder_crashed", 3, 4, 5, "broken", "decoder_crashed", 6, 7] == found


def test_memory_is_bounded_and_nothing_is_written(tmp_path):
    """A decoder that swells is refused the memory; one that would write is refused the file."""
    with Decoders(1, read) as decoders:
        found = told(decoders.map([tmp_path / "hungers", tmp_path / "1"], ahead=2))
        wrote = told(decoders.map([tmp_path / "writes"], ahead=1))

    assert ["decoder_memory", 1] == found
    assert ["may_not_write"] == wrote
    assert [] == list(tmp_path.iterdir())


def test_no_process_is_left_behind():
    """Not even those whose answers nobody waited for."""
    with Decoders(2, read) as decoders:
        answers = decoders.map(GOOD, ahead=8)
        next(answers)
        children = [process.pid for process in decoders._pool._processes.values()]

    assert 2 == len(children)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)

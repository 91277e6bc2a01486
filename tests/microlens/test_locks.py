"""Scratch folders: one holder at a time, however fast the next one comes, and nothing left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from microlens.errors import NotReadyError
from microlens.locks import scratch_folder

HOLD_OFTEN = """
import os, sys
from pathlib import Path
from microlens.errors import NotReadyError
from microlens.locks import scratch_folder
folder, witness, held = Path(sys.argv[1]), Path(sys.argv[2]), 0
while held < 200:
    try:
        with scratch_folder(folder, NotReadyError("taken")):
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
            assert [folder / "lock"] == list(folder.iterdir())
            (folder / "draft").mkdir()
            (folder / "draft" / "a").write_text("a")
            assert (folder / "draft" / "a").is_file()
            witness.unlink()
            held += 1
    except NotReadyError:
        pass
"""


def test_holders_that_come_as_others_go_never_meet(tmp_path):
    """Four processes take and leave one folder 200 times each: all alone in it, and it is gone at the end."""
    arguments = [sys.executable, "-c", HOLD_OFTEN, str(tmp_path / "scratch"), str(tmp_path / "witness")]
    running = [subprocess.Popen(arguments, cwd=Path(__file__).parents[2]) for _ in range(4)]

    assert [0, 0, 0, 0] == [process.wait() for process in running]
    assert [] == list(tmp_path.iterdir())


def test_a_killed_holders_things_are_gone_first(tmp_path):
    (tmp_path / "scratch" / "draft").mkdir(parents=True)

    with scratch_folder(tmp_path / "scratch", NotReadyError("taken")):
        assert [tmp_path / "scratch" / "lock"] == list((tmp_path / "scratch").iterdir())


def test_a_second_holder_is_refused_and_takes_nothing(tmp_path):
    with scratch_folder(tmp_path / "scratch", NotReadyError("taken")):
        (tmp_path / "scratch" / "draft").mkdir()
        with pytest.raises(NotReadyError, match="taken"), scratch_folder(tmp_path / "scratch", NotReadyError("taken")):
            pass
        assert (tmp_path / "scratch" / "draft").is_dir()


@pytest.mark.parametrize("place", [Path("/proc/scratch"), Path("/dev/null/scratch")])
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where no folder can be made")
def test_a_folder_that_cannot_be_made_is_told(place):
    """It is no lock that someone has just taken away: nobody waits for it."""
    with pytest.raises(OSError, match=str(place)), scratch_folder(place, NotReadyError("taken")):
        pass


def test_a_link_to_nowhere_is_told(tmp_path):
    """As of a disk that is not mounted."""
    (tmp_path / "disk").symlink_to(tmp_path / "unmounted")
    place = tmp_path / "disk" / "scratch"
    with pytest.raises(FileExistsError, match="disk"), scratch_folder(place, NotReadyError("taken")):
        pass

"""A disk that is full is called that, and neither a bug nor damage."""

import errno
from pathlib import Path

import pyarrow as pa
import pytest

from integration.engines.duckdb import DuckEngine
from microlens import cli
from microlens.errors import CorruptDataError, DiskFullError
from microlens.settings import Settings

FULL = Path("/dev/full")


@pytest.fixture
def engine(tmp_path):
    with DuckEngine(Settings(), tmp_path / "tmp") as engine:
        engine.add_table("pairs", pa.table({"user_key": [b"a" * 16]}))
        yield engine


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, which Linux has")
def test_a_step_that_finds_no_space_says_so(engine, tmp_path):
    """What it had is left where it was."""
    (tmp_path / "observed_users.parquet.tmp").symlink_to(FULL)

    with pytest.raises(DiskFullError, match="No space left"):
        engine.run("observed_users", tmp_path / "observed_users.parquet")
    assert not (tmp_path / "observed_users.parquet").exists()


def test_damage_is_told_from_it(engine, tmp_path):
    """A file that is no Parquet is damaged, whatever class its reader's error has."""
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1" + bytes(64) + b"PAR1")

    with pytest.raises(CorruptDataError, match=r"pairs\.parquet"):
        engine.add_files("pairs", [tmp_path / "pairs.parquet"])


@pytest.mark.parametrize(("code", "exit_code"), [(errno.ENOSPC, 9), (errno.EDQUOT, 9), (errno.EXDEV, 70)])
def test_the_command_line_ends_with_a_code_of_its_own(monkeypatch, capsys, code, exit_code):
    """Whoever writes the file: a full disk is no bug, and any other failure of the system is."""

    def write(**_):
        raise OSError(code, "no", "/runs/a.parquet")

    monkeypatch.setattr(cli, "app", write)
    with pytest.raises(SystemExit) as end:
        cli.main()

    assert exit_code == end.value.code
    assert ("the disk is full: nothing more can be written to /runs/a.parquet" in capsys.readouterr().err) == (
        exit_code == 9
    )

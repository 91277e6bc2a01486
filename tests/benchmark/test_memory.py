import pytest
import torch

from benchmark import memory
from benchmark.memory import free_bytes

CPU = torch.device("cpu")


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Write the files of a control group that has taken 5 MB, 1 MB of them for files read long ago."""

    def limited(limit):
        for name, text in (("max", limit), ("current", "5000000"), ("stat", "anon 1\ninactive_file 1000000")):
            (tmp_path / f"memory.{name}").write_text(f"{text}\n")
        monkeypatch.setattr(memory, "_CONTAINER", tmp_path)

    return limited


def test_free_memory_is_some_of_the_machines():
    """What can still be had is something, and less than all memory."""
    assert 1_000_000 < free_bytes(CPU) < memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE")


def test_a_containers_limit_counts(container):
    """Of 9 MB that a container may take 5 are left, as 1 of the 5 taken can be dropped."""
    container("9000000")

    assert 5_000_000 == free_bytes(CPU)


def test_a_container_without_a_limit_has_the_machines_memory(container):
    """The word `max` is no number, and no limit."""
    container("max")

    assert free_bytes(CPU) > 1_000_000


def test_a_machine_that_does_not_tell_what_is_free_has_all(tmp_path, monkeypatch):
    """Where there is no /proc, its whole memory stands in."""
    monkeypatch.setattr(memory, "_MACHINE", tmp_path / "absent")
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)

    assert memory.os.sysconf("SC_PHYS_PAGES") * memory.os.sysconf("SC_PAGE_SIZE") == free_bytes(CPU)

"""What a node knows of its disks."""

import time

import pytest
from structlog.testing import capture_logs

from download_nodes import disk as room
from download_nodes.disk import Disk
from tests.download_nodes.small_disk import small_disk

MIB = 1 << 20


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 0.05)
    with small_disk(tmp_path / "small", size_bytes=8 * MIB) as made:
        yield made


def low_for(disk, *, at_most_s=5.0):
    """Seconds until it is no longer low."""
    began = time.monotonic()
    while disk.is_low():
        assert time.monotonic() < began + at_most_s
        time.sleep(0.005)
    return time.monotonic() - began


def test_the_fullest_of_several_disks_counts(small, tmp_path):
    """Enough elsewhere does not help; both changes are told once."""
    disk = Disk((tmp_path, small.folder), least_bytes=4 * MIB)
    with capture_logs() as logs:
        assert not disk.is_low()
        small.fill(but=3 * MIB)
        time.sleep(0.06)
        assert disk.is_low()
        assert 3 * MIB == disk.free_bytes
        small.free()
        low_for(disk)

    assert ["disk_low", "disk_free_again"] == [entry["event"] for entry in logs]


def test_after_a_write_that_failed_more_must_become_free(small):
    """That there is some space does not mean that there is enough."""
    disk = Disk((small.folder,), least_bytes=0)
    small.fill(but=MIB)
    disk.was_full()
    time.sleep(0.3)
    assert disk.is_low()
    small.fill(but=MIB // 2)
    time.sleep(0.06)
    assert disk.is_low()
    small.free()

    low_for(disk)
    assert not disk.is_low()


def test_each_time_in_a_row_it_rests_for_longer(small):
    """Until something could be stored; many writes that fail at once are one time."""
    disk = Disk((small.folder,), least_bytes=0)

    def rest_s():
        small.fill()
        began = time.monotonic()
        for _ in range(20):
            disk.was_full()
        small.free()
        low_for(disk)
        return time.monotonic() - began

    rests = [rest_s() for _ in range(4)]
    disk.had_room()

    assert [True] * 4 == [least <= rest for least, rest in zip([0.05, 0.1, 0.2, 0.4], rests, strict=True)]
    assert rest_s() < rests[3]

"""A file system of a few megabytes, that fills."""

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class SmallDisk:
    """A folder with little space; a ballast takes what there is, and gives it back."""

    folder: Path

    @property
    def free_bytes(self):
        return os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize

    @property
    def ballast(self):
        return self.folder / "ballast"

    def fill(self, *, but=0):
        """Leave so many bytes free."""
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free_bytes - but)

    def free(self):
        self.ballast.unlink()


@contextmanager
def small_disk(folder, *, size_bytes):
    """A tmpfs; skips the test where none may be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounts a tmpfs, which takes root")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    told = subprocess.run(mount, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        pytest.skip(f"mounts a tmpfs, which is not permitted here: {told.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

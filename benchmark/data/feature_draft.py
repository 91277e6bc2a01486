"""Features that are being made: a file that grows in place, and a record of how far it is; then the finished folder.

<release>/features/.<name>.partial/
    features.npy     (N, F), memory-mapped, as long as it will be from the start; rows that are not made yet are zeros
    progress.json    what is being made (`identity`), how many inputs are done, and which of them are broken

Inputs are done in one order, and the record is written after the rows it speaks of, so that whoever finds a draft of
the same identity goes on with it; a batch that was cut off is made again, to the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmark.data.features import FEATURES, IDS, IDS_SCHEMA
from microlens.errors import CorruptDataError, RecipeError
from microlens.locks import exclusive
from microlens.manifest import Manifest, describe_output, write_manifest
from microlens.parts import write_table
from microlens.spelling import nearest
from microlens.store import sync
from microlens.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_PROGRESS = "progress.json"
_NAMED = 5
DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Features:
    """Finished features."""

    name: str
    path: Path
    facts: dict[str, Any]
    """Of their manifest: encoder, weights, shape, counts."""
    broken: list[dict[str, Any]]
    """Items whose file cannot be decoded: `item_id`, `reason`."""
    is_new: bool
    """False if the very same stood there already."""

    def refuse_broken(self) -> None:
        """CorruptDataError if a file could not be decoded; the features are finished all the same."""
        if self.broken:
            some = ", ".join(f"item {each['item_id']} ({each['reason']})" for each in self.broken[:_NAMED])
            more = f" and {len(self.broken) - _NAMED} more" if len(self.broken) > _NAMED else ""
            raise CorruptDataError(
                f"{self.path} is finished, but {len(self.broken)} of {self.facts['items']} items have rows of zeros: "
                f"their files cannot be decoded: {some}{more}; all are in {IDS}",
                hint="get these files again, delete the folder and run the same command; or use it as it is",
            )


def check_dtype(dtype: str) -> None:
    """RecipeError for a way of keeping numbers that is not known."""
    if dtype not in DTYPES:
        raise RecipeError(f"dtype {dtype!r} is not known", hint=nearest(dtype, DTYPES))


class Draft:
    """Rows in the making; `open_draft` gives one."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], shape: tuple[int, int], dtype: str) -> None:
        self.folder = folder
        self._identity = json.loads(json.dumps(identity))
        self.done = 0
        """Inputs that were looked at, broken ones included."""
        self.broken: dict[str, str] = {}
        """By an input's number, why it has no vector."""
        self.rows: NDArray[Any] = self._found(shape, dtype)

    def _found(self, shape: tuple[int, int], dtype: str) -> NDArray[Any]:
        """Map what a process before this one left, if it was making the same; else begin anew."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads((self.folder / _PROGRESS).read_text(encoding="utf-8"))
            rows = np.lib.format.open_memmap(self.folder / FEATURES, mode="r+")
            if told["identity"] == self._identity and rows.shape == shape and rows.dtype == np.dtype(dtype):
                self.done, self.broken = int(told["done"]), dict(told["broken"])
                return rows
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        rows = np.lib.format.open_memmap(self.folder / FEATURES, mode="w+", dtype=dtype, shape=shape)
        # A disk that has no room says so now; later, writing into the map would end the process.
        with (self.folder / FEATURES).open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        return rows

    def save(self, done: int) -> None:
        """Have the rows on the disk, then the record that they are there."""
        self.rows.flush()  # type: ignore[attr-defined]
        self.done = done
        told = {"identity": self._identity, "done": done, "broken": self.broken}
        write_atomically(self.folder / _PROGRESS, json.dumps(told))

    def publish(self, folder: Path, ids: Sequence[tuple[int, str | None]], **facts: Any) -> Manifest:
        """Finish: put the draft, with its map of ids and its manifest, in place of what was there.

        `ids` are, by row, item_id and why it has no feature (None if it has); `facts` are fields of the manifest.
        """
        del self.rows
        columns = [range(len(ids)), [item for item, _ in ids], [why is None for _, why in ids], [why for _, why in ids]]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, IDS_SCHEMA, strict=True)]
        write_table(self.folder / IDS, pa.table(arrays, schema=IDS_SCHEMA))
        outputs = tuple(describe_output(self.folder, self.folder / name, rows=len(ids)) for name in (FEATURES, IDS))
        manifest = Manifest(stage="features", outputs=outputs, **facts)
        write_manifest(self.folder, manifest)
        for name in (FEATURES, IDS):
            sync(self.folder / name)
        (self.folder / _PROGRESS).unlink(missing_ok=True)
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        self.folder.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
        return manifest


@contextlib.contextmanager
def one_maker(folder: Path) -> Iterator[Path]:
    """Hold the right to make the features of this folder; gives where their draft lies."""
    folder.parent.mkdir(exist_ok=True)
    taken = RecipeError(f"another process is making {folder}", hint="wait for it, or choose another --name")
    with exclusive(folder.with_name(f".{folder.name}.lock"), taken):
        yield folder.with_name(f".{folder.name}.partial")

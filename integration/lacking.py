"""What other machines keep of a run, and this one needs and does not have."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from integration.comments import standing_comments
from integration.gather import what_is_new
from integration.pair_state import READINGS, read_state, read_table
from microlens.errors import NotReadyError
from microlens.ledger_rows import PART_KINDS
from microlens.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa

    from microlens.ledger_rows import Part
    from microlens.runs import Run

HASH = np.dtype("S32")
AT_ONCE = 50_000
"""Files that a store is asked for at once: in the order of their hashes, so it lists but what lies between them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file that this machine lacks."""

    sha256: str
    part: Part | None = None
    """None for media."""
    size_bytes: int | None = None
    """Of media, as the ledger has it."""

    @property
    def name(self) -> str:
        return self.part.path if self.part is not None else self.sha256


class Lacking:
    """Files by number: parts first, then media in the order of their hashes, at 40 bytes of memory each."""

    def __init__(self, parts: list[Part], hashes: np.ndarray, sizes: np.ndarray) -> None:
        self.parts, self._hashes, self._sizes = parts, hashes, sizes

    def __len__(self) -> int:
        return len(self.parts) + len(self._sizes)

    def __getitem__(self, number: int) -> Wanted:
        if number < len(self.parts):
            return Wanted(self.parts[number].sha256, self.parts[number])
        at = number - len(self.parts)
        if at >= len(self._sizes):
            raise IndexError(number)
        return Wanted(_hash(self._hashes, at), size_bytes=int(self._sizes[at]))


def lacking(run: Run, *, kept_at: str | None = None) -> Lacking:
    """What this machine needs and does not have: a part whose bytes are not those that the ledger lists, too.

    With `kept_at` parts alone that are kept there, and that lie not here at all: no file is read for it.
    """
    if kept_at is not None:
        there = [part for part in _parts(run, PART_KINDS) if part.kept_at == kept_at]
        absent = _needed(run, [part for part in there if not (run.folder / part.path).exists()])
        return Lacking(absent, np.zeros(0, HASH), np.zeros(0, np.int64))
    parts = [part for part in _needed(run, _parts(run, PART_KINDS)) if not _is_whole(run, part)]
    hashes, sizes = bytearray(), array("q")
    for some in run.ledger.stored(but_at=run.ledger.keeping.media):
        for one in some:
            hashes += bytes.fromhex(one.sha256)
            sizes.append(one.size_bytes)
    if not sizes:
        return Lacking(parts, np.zeros(0, HASH), np.zeros(0, np.int64))
    order = np.argsort(np.frombuffer(hashes, HASH), kind="stable")
    every, every_size = np.frombuffer(hashes, HASH)[order], np.frombuffer(sizes, np.int64)[order]
    del hashes, sizes, order
    is_lacking = np.append(True, every[1:] != every[:-1])  # each hash once
    for start in range(0, len(every), AT_ONCE):
        some_hashes = [_hash(every, at) for at in range(start, min(start + AT_ONCE, len(every)))]
        held = run.store.sizes(some_hashes)
        is_lacking[start : start + AT_ONCE] &= [sha256 not in held for sha256 in some_hashes]
    return Lacking(parts, every[is_lacking], every_size[is_lacking])


def check_here(run: Run, kinds: Collection[str] = ("videos", "comments"), *, readings: pa.Table | None = None) -> None:
    """NotReadyError if parts of these kinds that are needed lie on other machines alone: tables are made without texts.

    `readings` are those that stand, where they are known.
    """
    absent = [part for part in _parts(run, kinds) if not (run.folder / part.path).exists()]
    ours = run.ledger.keeping.parts
    elsewhere = [part for part in _needed(run, absent, readings) if part.kept_at != ours]
    if elsewhere:
        buckets = sorted({part.kept_at for part in elsewhere if "://" in part.kept_at})
        raise NotReadyError(
            f"{len(elsewhere)} parts of {run.run_id!r} are kept on other machines, {elsewhere[0].path} among them",
            hint=f"run `microlens-build integrate {run.run_id} --from URL` with "
            + (f"{', '.join(buckets)}, and with " if buckets else "")
            + "each of these machines' exports",
        )


def _parts(run: Run, kinds: Collection[str]) -> list[Part]:
    return [part for kind in kinds for part in run.ledger.parts(kind)]


def _is_whole(run: Run, part: Part) -> bool:
    try:
        return sha256_of(run.folder / part.path) == part.sha256
    except OSError:  # it is not there, or its disk cannot read it
        return False


def _hash(hashes: np.ndarray, at: int) -> str:
    return bytes(hashes[at]).ljust(HASH.itemsize, b"\0").hex()  # numpy leaves zeros at the end of a text out


def _needed(run: Run, parts: list[Part], readings: pa.Table | None = None) -> list[Part]:
    """Without those comment parts of which a gather would read nothing now, for it has taken in all that stands."""
    if all(part.kind != "comments" for part in parts):
        return parts
    folder = run.integrated / "pairs"
    state = read_state(folder)
    if state.readings is None:
        return parts
    if readings is None:
        readings = standing_comments(run).readings
    is_new, _ = what_is_new(read_table(folder, state.readings, READINGS), readings)
    to_be_taken_in = set(readings["path"].filter(is_new).unique().to_pylist())
    return [part for part in parts if part.kind != "comments" or part.path in to_be_taken_in]

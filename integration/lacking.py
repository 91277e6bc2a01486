"""What other machines keep of a run, and this one needs and does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.comments import standing_comments
from integration.pair_state import READINGS, read_state, read_table
from microlens.errors import NotReadyError
from microlens.ledger_rows import PART_KINDS
from microlens.local_store import LocalStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from microlens.comment_lists import CommentList
    from microlens.ledger_rows import Part
    from microlens.runs import Run

_KEY = ["video_id", "refresh", "path"]
"""Of a reading."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file that this machine lacks."""

    sha256: str
    part: Part | None = None
    """None for media."""

    @property
    def key(self) -> tuple[bool, str]:
        return self.part is not None, self.sha256

    @property
    def name(self) -> str:
        return self.part.path if self.part is not None else self.sha256


def lacking(run: Run) -> list[Wanted]:
    """What other machines keep of a run and this one does not have."""
    wanted = [Wanted(part.sha256, part) for part in _lacking_parts(run)]
    if not isinstance(run.store, LocalStore):  # a bucket has what all of them have stored
        return wanted
    ours, elsewhere = run.ledger.keeping.media, set[str]()
    for some in run.ledger.stored(but_at=ours):
        elsewhere |= {one.sha256 for one in some}
    held = run.store.sizes(elsewhere)
    return [*wanted, *(Wanted(sha256) for sha256 in sorted(elsewhere - held.keys()))]


def check_here(
    run: Run, kinds: Collection[str] = ("videos", "comments"), *, readings: Iterable[CommentList] | None = None
) -> None:
    """NotReadyError if parts of these kinds that are needed lie on other machines alone: tables are made without texts.

    `readings` are those that stand, where they are known.
    """
    ours = run.ledger.keeping.parts
    elsewhere = [part for part in _lacking_parts(run, readings) if part.kept_at != ours and part.kind in kinds]
    if elsewhere:
        raise NotReadyError(
            f"{len(elsewhere)} parts of {run.run_id!r} are kept on other machines, {elsewhere[0].path} among them",
            hint=f"run `microlens-build integrate {run.run_id} --from URL` with each of these machines' exports",
        )


def _lacking_parts(run: Run, readings: Iterable[CommentList] | None = None) -> list[Part]:
    parts = [part for kind in PART_KINDS for part in run.ledger.parts(kind)]
    absent = [part for part in parts if not (run.folder / part.path).exists()]
    if all(part.kind != "comments" for part in absent):
        return absent
    needed = _to_be_taken_in(run, readings)
    return [part for part in absent if part.kind != "comments" or part.path in needed]


def _to_be_taken_in(run: Run, readings: Iterable[CommentList] | None) -> set[str]:
    """Paths of the comment parts that integration.gather would read now: what it has taken in needs its part no longer.

    Of a video whose readings so far no longer all stand, all that stand come in again.
    """
    if readings is None:
        readings = standing_comments(run, run.refreshes.standings()).readings
    folder = run.integrated / "pairs"
    taken = read_table(folder, read_state(folder).readings, READINGS).select(_KEY)
    rows = [{name: getattr(one, name) for name in _KEY} for one in readings if one.path is not None]
    standing = pa.Table.from_pylist(rows, schema=taken.schema)
    replaced = taken.join(standing, _KEY, join_type="left anti")["video_id"]
    again = standing.filter(pc.is_in(standing["video_id"], replaced))
    new = standing.join(taken, _KEY, join_type="left anti")
    return {*again["path"].to_pylist(), *new["path"].to_pylist()}

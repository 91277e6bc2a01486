"""What is known of a video's comments when they are read again, and whether the rest need not be read.

On a site that lists the newest first, whatever has come stands above the newest known comment. That nothing below it
has changed, the site's own count tells: if it moved by just as many as have come, none was deleted. (On a site with
threads one deleted comment and one new answer below an old comment would balance: they are seen at the next
difference.) Where the count says otherwise, or is not told, the whole list is read, and replaces the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from microlens.comment_lists import that_stand
from microlens.errors import CorruptDataError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from microlens.comment_lists import CommentList
    from microlens.runs import Run


@dataclass(frozen=True, slots=True)
class KnownComments:
    """A video's comments as they stood when they were last read."""

    keys: frozenset[int]
    """Comment ids, keyed."""
    declared: int
    """How many the site said there were."""

    def added(self, found: Collection[int]) -> set[int]:
        """Those of the comments found that are new."""
        return set(found) - self.keys

    def is_enough(self, found: Sequence[int], declared: int | None) -> bool:
        """Whether what was found, from the newest down, is all that has changed, by the site's own count.

        The new ones must come first and known ones after them: where a known one stands before a new one (it is
        pinned, or answers lie below it), what is above the first known one is not all that is new.
        """
        new = len(self.added(found))
        is_reached = new < len(found) or not self.keys
        is_in_order = all(key in self.keys for key in found[new:])
        return is_reached and is_in_order and declared is not None and declared - self.declared == new


def known_comments(run: Run, video_id: str, refresh: int) -> KnownComments | None:
    """What a refresh may build upon; None if nothing was read before, or only elsewhere, or the site told no count."""
    earlier = (one for one in run.ledger.comment_lists([video_id]) if one.refresh < refresh)
    standing = that_stand(earlier)
    if not standing or standing[-1].declared is None:
        return None
    if any(_is_elsewhere(run, one) for one in standing):
        return None  # on another machine: the whole list is read again, and replaces the old one
    keys = [key for one in standing if one.path is not None for key in _keys_of(run.folder / one.path, one)]
    return KnownComments(frozenset(keys), standing[-1].declared)


def _is_elsewhere(run: Run, one: CommentList) -> bool:
    is_ours = one.kept_at in {None, run.ledger.keeping.parts}
    return one.path is not None and not is_ours and not (run.folder / one.path).exists()


def _keys_of(path: Path, one: CommentList) -> list[int]:
    import pyarrow as pa  # noqa: PLC0415 - of no use before the first comments
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path, columns=["comment_id"], filters=[("video_id", "==", one.video_id)])
    except (OSError, pa.ArrowException) as error:
        raise CorruptDataError(
            f"the comments of {one.video_id!r} cannot be read from the part {path}: {error}",
            hint="restore it from a backup: the site may no longer show what it held",
        ) from error
    return cast("list[int]", table["comment_id"].to_pylist())

"""Complete videos' comments, gathered into one Parquet part, which the ledger lists in the same transaction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from download_nodes.spool import Comments, spool_path
from microlens.database import LedgerFullError
from microlens.privacy import USER_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from download_nodes.spool import Spool
    from microlens.ledger_rows import Part
    from microlens.records import FrontierItem
    from microlens.runs import Run

PART_ROWS = 50_000
PART_AFTER_S = 3.0
GROUP_ROWS = 10_000
"""A part is sorted by video: a refresh that looks for one video's comments reads only a group or two of it."""


class CommentParts:
    """Gathers complete videos and commits them, many at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spools: dict[str, Spool] = {}
        self._since = 0.0

    def add(self, spool: Spool) -> None:
        if not self._spools:
            self._since = time.monotonic()
        self._spools[spool.name] = spool

    @property
    def names(self) -> list[str]:
        """Items whose leases must be kept until their part is committed."""
        return list(self._spools)

    def is_due(self) -> bool:
        rows = sum(len(spool.comments) for spool in self._spools.values())
        return bool(self._spools) and (rows >= PART_ROWS or time.monotonic() - self._since > PART_AFTER_S)

    def take(self) -> dict[str, Spool]:
        """Hand over all complete videos, by item. Called where they are added, so that none falls between two parts."""
        spools, self._spools = self._spools, {}
        return spools

    def committed(self, items: Sequence[FrontierItem]) -> list[FrontierItem]:
        """Those of the claimed items that were committed already, by a process that died before it could say so."""
        if not items:
            return []
        lists = self._run.ledger.comment_lists([item.payload["video_id"] for item in items])
        have = {(one.video_id, one.refresh) for one in lists}
        done = [item for item in items if (item.payload["video_id"], item.payload["refresh"]) in have]
        for item in done:
            path = spool_path(self._run.spool, item.payload["video_id"], item.payload["refresh"])
            path.unlink(missing_ok=True)
        return done

    def commit(self, spools: dict[str, Spool]) -> list[FrontierItem]:
        """Commit complete videos, those of a refresh as one part; may run in a thread. Nothing is due after them."""
        for refresh in sorted({spool.refresh for spool in spools.values()}):
            mine = {spool.video_id: spool for spool in spools.values() if spool.refresh == refresh}
            self._commit_part(refresh, mine)
        for spool in spools.values():
            spool.path.unlink(missing_ok=True)
        return []

    def _commit_part(self, refresh: int, spools: dict[str, Spool]) -> None:
        """Commit spools of one refresh, by video; those that another node was quicker with are left out."""
        from microlens.parts import write_part  # noqa: PLC0415 - Arrow, of no use before the first comments

        left = dict(spools)
        while left:
            table = self._table(left)
            is_empty = table.num_rows == 0
            part = None if is_empty else write_part(self._run.folder, "comments", table, group_rows=GROUP_ROWS)
            try:
                taken = self._run.ledger.commit_comments(
                    part,
                    {video_id: len(self._taken(spool)) for video_id, spool in left.items()},
                    refresh=refresh,
                    declared={video_id: spool.declared for video_id, spool in left.items()},
                    additions={video_id for video_id, spool in left.items() if spool.is_addition},
                )
            except LedgerFullError:
                self._discard(part)
                raise
            if not taken:
                break
            self._discard(part)
            left = {video_id: spool for video_id, spool in left.items() if video_id not in taken}

    def _table(self, spools: dict[str, Spool]) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415

        from microlens.tables import CRAWLED_COMMENTS  # noqa: PLC0415

        taken = {name: self._taken(spools[name]) for name in sorted(spools)}
        names, whole = [], Comments()
        for name, comments in taken.items():
            names += [name] * len(comments)
            whole.extend(comments)
        arrays = {
            "platform": pa.array([self._run.recipe.platform] * len(names), pa.string()),
            "video_id": pa.array(names, pa.string()),
            "comment_id": pa.array(whole.keys, pa.string()),
            "user_key": pa.array(whole.users, pa.binary(USER_KEY_BYTES)),
            "text": pa.array(whole.texts, pa.string()),
            "gender": pa.array(whole.genders, pa.string()),
            "commented_at_ms": pa.array(whole.moments, pa.int64()),
        }
        return pa.table(arrays, schema=CRAWLED_COMMENTS)

    def _taken(self, spool: Spool) -> Comments:
        """What is kept of a video: its last page may hold more than the recipe takes."""
        return spool.comments.first(self._run.recipe.comments.max_per_video)

    def _discard(self, part: Part | None) -> None:
        if part is not None:
            (self._run.folder / part.path).unlink(missing_ok=True)

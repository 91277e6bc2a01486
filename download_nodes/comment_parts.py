"""Complete videos' comments, gathered into one Parquet part, and their texts into another beside it.

The ledger lists both in one transaction: what a process that died left of them is never read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from download_nodes.spool import Comments, spool_path
from microlens.database import LedgerFullError
from microlens.errors import MicrolensError
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
COMMENTS_LAYOUT: dict[str, Any] = {
    "use_dictionary": ["video_id"],  # of keys, which hardly repeat, it would only cost: a sixth of the part
    "column_encoding": {"commented_at_ms": "DELTA_BINARY_PACKED"},
    "group_rows": GROUP_ROWS,
}
_TEXTS_LAYOUT: dict[str, Any] = {"use_dictionary": ["video_id", "text", "gender"]}


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
        left = dict(spools)
        while left:
            parts = self._write(left)
            comments, texts = [*parts, None, None][:2]
            try:
                taken = self._run.ledger.commit_comments(
                    comments,
                    {video_id: len(self._taken(spool)) for video_id, spool in left.items()},
                    texts=texts,
                    refresh=refresh,
                    declared={video_id: spool.declared for video_id, spool in left.items()},
                    additions={video_id for video_id, spool in left.items() if spool.is_addition},
                )
            except LedgerFullError:
                self._discard(parts)
                raise
            if not taken:
                break
            self._discard(parts)
            left = {video_id: spool for video_id, spool in left.items() if video_id not in taken}

    def _write(self, spools: dict[str, Spool]) -> list[Part]:
        """Write and keep the part of these comments, and that of their texts, if there are any; none if one fails."""
        from microlens.parts import write_part  # noqa: PLC0415 - Arrow, of no use before the first comments

        comments, texts = self._tables(spools)
        parts: list[Part] = []
        try:
            if comments.num_rows:
                parts.append(write_part(self._run.folder, "comments", comments, **COMMENTS_LAYOUT))
            if texts.num_rows:
                parts.append(write_part(self._run.folder, "texts", texts, beside=parts[0].part_id, **_TEXTS_LAYOUT))
            for place, part in enumerate(parts):
                parts[place] = self._run.keep_part(part)
        except (OSError, MicrolensError):
            self._discard(parts)
            raise
        return parts

    def _tables(self, spools: dict[str, Spool]) -> tuple[pa.Table, pa.Table]:
        """Comments, and those of them that have a text or a gender with these, both sorted by video."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        from microlens.tables import CRAWLED_COMMENTS, CRAWLED_TEXTS  # noqa: PLC0415

        names, whole = [], Comments()
        for name in sorted(spools):
            taken = self._taken(spools[name])
            names += [name] * len(taken)
            whole.extend(taken)
        text, gender = pa.array(whole.texts, pa.string()), pa.array(whole.genders, pa.string())
        has_gender = pc.is_valid(gender)
        columns = {
            "video_id": pa.array(names, pa.string()),
            "comment_id": pa.array(whole.keys, pa.int64()),
            "user_key": pa.array(whole.users, pa.binary(USER_KEY_BYTES)),
            "commented_at_ms": pa.array(whole.moments, pa.int64()),
        }
        comments = pa.table(columns, schema=CRAWLED_COMMENTS)
        columns |= {"text": text, "gender": gender, "user_key": pc.if_else(has_gender, columns["user_key"], None)}
        texts = pa.table({name: columns[name] for name in CRAWLED_TEXTS.names}, schema=CRAWLED_TEXTS)
        return comments, texts.filter(pc.or_(pc.is_valid(text), has_gender)) if text.null_count else texts

    def _taken(self, spool: Spool) -> Comments:
        """What is kept of a video: its last page may hold more than the recipe takes."""
        return spool.comments.first(self._run.recipe.comments.max_per_video)

    def _discard(self, parts: list[Part]) -> None:
        bucket = self._run.parts_bucket
        for part in parts:
            (self._run.folder / part.path).unlink(missing_ok=True)
            if part.kept_at and bucket is not None:
                bucket.discard(part)

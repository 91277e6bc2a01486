"""Taking comments in: the rows of parts that stand and were not taken in before, cast into buckets of users.

Columns alone are handled, a piece at a time: no engine is needed, and memory does not grow with the crawl.
Once comments are taken in, pairs no longer need their parts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from integration.pair_state import (
    MOST_BITS,
    PAIRS,
    READINGS,
    REPLACED,
    bits_for,
    pair_file,
    read_table,
    write_listed,
    write_state,
)
from microlens.errors import CorruptDataError
from microlens.parts import faulty_parts, refuse_parts
from microlens.privacy import USER_KEY_BYTES
from microlens.store import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from integration.pair_state import PairFile, PairState
    from microlens.ledger_rows import Part

_PIECES = 4
"""Of a bucket: casting a piece takes less memory than sorting a bucket."""
_LAYOUT: dict[str, Any] = {
    # It is read once and soon: quick to write is better than small, and of keys nothing can be compressed.
    "compression": "none",
    "use_dictionary": ["video_id"],
    "column_encoding": {"commented_at_ms": "DELTA_BINARY_PACKED"},
    "write_statistics": ["user_key"],
}


def gather(
    folder: Path,
    state: PairState,
    now: pa.Table,
    *,
    run_folder: Path,
    parts: Mapping[str, Part],
    bucket_rows: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> PairState:
    """Take in what is new of the readings that stand `now` (READINGS); gives the state with it, or the same state.

    Of a video whose readings so far no longer all stand, everything leaves, and its standing readings come in again.
    `parts` are all comment parts by their path within `run_folder`. CorruptDataError names those that are needed and
    not what the ledger lists, once all others are taken in; or one that does not hold the rows that it should.
    """
    is_new, replaced = what_is_new(read_table(folder, state.readings, READINGS), now)
    adding = now.filter(is_new)
    if not adding.num_rows and not replaced:
        return state
    on_step("check")
    faults = faulty_parts(run_folder, [parts[name] for name in sorted(adding["path"].unique().to_pylist())])
    if faults:
        is_missed = pc.and_(is_new, pc.is_in(now["path"], pa.array(list(faults), pa.string())))
        adding, now = now.filter(pc.and_not(is_new, is_missed)), now.filter(pc.invert(is_missed))
    if adding.num_rows or replaced:
        on_step("gather")
        state = _take_in(
            folder, state, adding, replaced, now, run_folder=run_folder, parts=parts, bucket_rows=bucket_rows
        )
    refuse_parts(faults)
    return state


def _take_in(
    folder: Path,
    state: PairState,
    adding: pa.Table,
    replaced: list[str],
    now: pa.Table,
    *,
    run_folder: Path,
    parts: Mapping[str, Part],
    bucket_rows: int,
) -> PairState:
    """Cast the rows of `adding`, have those of `replaced` leave, and commit that all readings of `now` are there."""
    rows = pc.sum(adding["comments"]).as_py() or 0
    known = max((file.bits for file in (*state.merged, *state.waiting)), default=0)
    bits = max(known, bits_for(state.rows + rows, bucket_rows))
    number = state.increment + 1
    place = folder / f"waiting-{number}"
    piece_rows = max(1, bucket_rows // _PIECES)
    pieces = _of_size(_rows_of(adding, run_folder, parts, piece_rows), piece_rows)
    files = _cast(folder, place, pieces, bits, number)
    leaving = pa.table(
        [pa.array(replaced, pa.string()), pa.array([number] * len(replaced), pa.int32())], schema=REPLACED
    )
    left = pa.concat_tables([read_table(folder, state.replaced, REPLACED), leaving])
    new = replace(
        state,
        increment=number,
        waiting=(*state.waiting, *files),
        readings=write_listed(folder, f"readings-{number}.parquet", now),
        replaced=write_listed(folder, f"replaced-{number}.parquet", left) if left.num_rows else None,
    )
    write_state(folder, new)
    return new


def what_is_new(taken: pa.Table, now: pa.Table) -> tuple[pa.Array, list[str]]:
    """Which readings are to be taken in, and the videos of which all that was taken in before leaves."""
    keys = READINGS.names[:3]
    before, numbered = taken.select(keys), now.select(keys).append_column("place", pa.array(np.arange(now.num_rows)))
    replaced = sorted(set(before.join(numbered, keys, join_type="left anti")["video_id"].to_pylist()))
    is_new = np.zeros(now.num_rows, np.bool_)
    is_new[numbered.join(before, keys, join_type="left anti")["place"].to_numpy()] = True
    is_again = pc.is_in(now["video_id"], pa.array(replaced, pa.string())).combine_chunks()
    return pc.or_(pa.array(is_new), is_again), replaced


def _rows_of(adding: pa.Table, run_folder: Path, parts: Mapping[str, Part], piece_rows: int) -> Iterator[pa.Table]:
    """The rows of these readings, a piece at a time."""
    by_part = adding.group_by("path").aggregate([("video_id", "list"), ("comments", "sum")]).sort_by("path")
    for name, listed, rows in zip(
        by_part["path"].to_pylist(), by_part["video_id_list"], by_part["comments_sum"].to_pylist(), strict=True
    ):
        path, wanted = run_folder / name, listed.values
        videos = None if rows == parts[name].rows else wanted
        found = 0
        for piece in _pieces(path, videos, piece_rows):
            found += piece.num_rows
            yield piece
        if found != rows:
            raise CorruptDataError(
                f"the part {path} holds {found} comments of {len(wanted)} readings; the ledger says {rows}",
                hint="restore it from a backup: the site may no longer show what it held",
            )


def _pieces(path: Path, videos: pa.Array | None, piece_rows: int) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(piece_rows, columns=PAIRS.names):
                table = pa.Table.from_batches([batch]).select(PAIRS.names).cast(PAIRS)
                yield table if videos is None else table.filter(pc.is_in(table["video_id"], videos))
    except (OSError, pa.ArrowException) as error:
        raise CorruptDataError(
            f"the part {path} cannot be read: {error}",
            hint="restore it from a backup: the site may no longer show what it held",
        ) from error


def _cast(folder: Path, place: Path, tables: Iterable[pa.Table], bits: int, increment: int) -> list[PairFile]:
    """Write each row to the file of its bucket."""
    place.mkdir(parents=True, exist_ok=True)
    writers: dict[int, pq.ParquetWriter] = {}
    try:
        for table in tables:
            buckets = _buckets(table["user_key"].combine_chunks(), bits)
            order = np.argsort(buckets, kind="stable")
            ends = np.cumsum(np.bincount(buckets, minlength=1 << bits))
            cast = table.take(pa.array(order))
            for bucket in np.unique(buckets).tolist():
                start = int(ends[bucket - 1]) if bucket else 0
                if bucket not in writers:
                    writers[bucket] = pq.ParquetWriter(_path(place, bucket), PAIRS, **_LAYOUT)
                writers[bucket].write_table(cast.slice(start, int(ends[bucket]) - start))
    finally:
        for writer in writers.values():
            writer.close()
    sync(place)
    return [pair_file(folder, _path(place, bucket), bits, bucket, increment=increment) for bucket in sorted(writers)]


def _path(place: Path, bucket: int) -> Path:
    return place / f"{bucket:03d}.parquet"


def _of_size(tables: Iterable[pa.Table], piece_rows: int) -> Iterator[pa.Table]:
    """The same rows in pieces of a good size: a node's parts are small, and a bucket gets but a share of each."""
    gathered: list[pa.Table] = []
    rows = 0
    for table in tables:
        gathered.append(table)
        rows += table.num_rows
        if rows >= piece_rows:
            yield pa.concat_tables(gathered).combine_chunks()
            gathered, rows = [], 0
    if rows:
        yield pa.concat_tables(gathered).combine_chunks()


def _buckets(keys: pa.FixedSizeBinaryArray, bits: int) -> np.ndarray:
    """The top bits of every key."""
    first = np.frombuffer(keys.buffers()[1], np.uint8)[::USER_KEY_BYTES][keys.offset : keys.offset + len(keys)]
    return first >> np.uint8(MOST_BITS - bits) if bits else np.zeros(len(keys), np.uint8)

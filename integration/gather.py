"""Taking comments in: the rows of parts that stand and were not taken in before, cast into buckets of users.

Columns alone are handled, a piece at a time: no engine is needed, and memory does not grow with the crawl.
Once comments are taken in, pairs no longer need their parts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

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
    from microlens.comment_lists import CommentList
    from microlens.ledger_rows import Part

_PIECES = 4
"""Of a bucket: casting a piece takes less memory than sorting a bucket."""
_READING = tuple(READINGS.names)


def gather(
    folder: Path,
    state: PairState,
    standing: Iterable[CommentList],
    *,
    run_folder: Path,
    parts: Mapping[str, Part],
    bucket_rows: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> PairState:
    """Take in what of the standing readings is new; gives the state with it, or the same state if nothing is.

    Of a video whose readings so far no longer all stand, everything leaves, and its standing readings come in again.
    `parts` are all comment parts by their path within `run_folder`. CorruptDataError names those that are needed and
    not what the ledger lists, once all others are taken in; or one that does not hold the rows that it should.
    """
    now = [one for one in standing if one.path is not None]
    adding, replaced = _what_is_new(read_table(folder, state.readings, READINGS), now)
    if not adding and not replaced:
        return state
    on_step("check")
    faults = faulty_parts(run_folder, [parts[name] for name in sorted({str(one.path) for one in adding})])
    if faults:
        missed = {(one.video_id, one.refresh) for one in adding if one.path in faults}
        adding, now = ([one for one in some if (one.video_id, one.refresh) not in missed] for some in (adding, now))
    if adding or replaced:
        on_step("gather")
        state = _take_in(
            folder, state, adding, replaced, now, run_folder=run_folder, parts=parts, bucket_rows=bucket_rows
        )
    refuse_parts(faults)
    return state


def _take_in(
    folder: Path,
    state: PairState,
    adding: list[CommentList],
    replaced: list[str],
    now: list[CommentList],
    *,
    run_folder: Path,
    parts: Mapping[str, Part],
    bucket_rows: int,
) -> PairState:
    """Cast the rows of `adding`, have those of `replaced` leave, and commit that all readings of `now` are there."""
    paths = {str(one.path): run_folder / str(one.path) for one in adding}
    rows = sum(one.comments for one in adding)
    known = max((file.bits for file in (*state.merged, *state.waiting)), default=0)
    bits = max(known, bits_for(state.rows + rows, bucket_rows))
    number = state.increment + 1
    place = folder / f"waiting-{number}"
    piece_rows = max(1, bucket_rows // _PIECES)
    pieces = _of_size(_rows_of(adding, paths, parts, piece_rows), piece_rows)
    files = _cast(folder, place, pieces, bits, number)
    leaving = pa.table(
        [pa.array(replaced, pa.string()), pa.array([number] * len(replaced), pa.int32())], schema=REPLACED
    )
    left = pa.concat_tables([read_table(folder, state.replaced, REPLACED), leaving])
    read = pa.Table.from_pylist([_row(one) for one in now], schema=READINGS)
    new = replace(
        state,
        increment=number,
        waiting=(*state.waiting, *files),
        readings=write_listed(folder, f"readings-{number}.parquet", read),
        replaced=write_listed(folder, f"replaced-{number}.parquet", left) if left.num_rows else None,
    )
    write_state(folder, new)
    return new


def _what_is_new(taken: pa.Table, standing: list[CommentList]) -> tuple[list[CommentList], list[str]]:
    """Readings to take in, and the videos of which all that was taken in before leaves."""
    before: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for video_id, refresh, path in zip(*(taken[name].to_pylist() for name in _READING[:3]), strict=True):
        before[video_id].add((refresh, path))
    now: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for one in standing:
        now[one.video_id].add((one.refresh, str(one.path)))
    nothing: set[tuple[int, str]] = set()
    replaced = {video_id for video_id, own in before.items() if not own <= now.get(video_id, nothing)}
    adding = [
        one
        for one in standing
        if one.video_id in replaced or (one.refresh, one.path) not in before.get(one.video_id, nothing)
    ]
    return adding, sorted(replaced)


def _row(one: CommentList) -> dict[str, object]:
    told = asdict(one)
    return {name: told[name] for name in _READING}


def _rows_of(
    adding: Iterable[CommentList], paths: Mapping[str, Path], parts: Mapping[str, Part], piece_rows: int
) -> Iterator[pa.Table]:
    """The rows of these readings, a piece at a time."""
    wanted: dict[str, list[CommentList]] = defaultdict(list)
    for one in adding:
        wanted[str(one.path)].append(one)
    for name in sorted(wanted):
        path = paths[name]
        rows = sum(one.comments for one in wanted[name])
        videos = None if rows == parts[name].rows else pa.array([one.video_id for one in wanted[name]], pa.string())
        found = 0
        for piece in _pieces(path, videos, piece_rows):
            found += piece.num_rows
            yield piece
        if found != rows:
            raise CorruptDataError(
                f"the part {path} holds {found} comments of {len(wanted[name])} readings; the ledger says {rows}",
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
                    # It is read once and soon: quick to write is better than small.
                    writers[bucket] = pq.ParquetWriter(
                        _path(place, bucket), PAIRS, compression="lz4", use_dictionary=["video_id"]
                    )
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

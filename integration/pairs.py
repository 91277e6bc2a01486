"""Merging bucket by bucket: what was merged before and what has been taken in since, into one sorted file a bucket.

The state is committed after every bucket, so a merge that was killed goes on where it stopped. A minimum is the same
in whatever order it is taken: however comments were divided into increments, the pairs are the same.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from integration.pair_state import (
    PAIRS,
    REPLACED,
    bits_for,
    bucket_condition,
    check_file,
    pair_file,
    read_table,
    write_state,
)
from microlens.store import sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.engines import Engine
    from integration.pair_state import PairFile, PairState


def merge_pairs(
    engine: Engine,
    folder: Path,
    state: PairState,
    bucket_rows: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> PairState:
    """Go on with the merge that is under way, or begin one if comments wait; gives the state without either.

    CorruptDataError if a file of the state is missing or was changed.
    """
    if state.is_merged:
        for file in state.merged:
            check_file(folder, file)
        return state
    if state.bits is None:
        known = max((file.bits for file in (*state.merged, *state.waiting)), default=0)
        state = replace(state, merge=state.merge + 1, bits=max(known, bits_for(state.rows, bucket_rows)))
    engine.add_table("replaced", read_table(folder, state.replaced, REPLACED))
    bits = state.bits or 0
    for bucket in range(len(state.done), 1 << bits):
        on_step(f"merge bucket {bucket + 1} of {1 << bits}")
        done = (*state.done, _merge_bucket(engine, folder, state, bits, bucket))
        state = replace(
            state,
            done=done,
            merged=tuple(file for file in state.merged if not _is_past(file, bits, bucket)),
            waiting=tuple(file for file in state.waiting if not _is_past(file, bits, bucket)),
        )
        if bucket + 1 == 1 << bits:
            state = replace(state, bits=None, merged=done, done=(), replaced=None)
        write_state(folder, state)
    return state


def _is_past(file: PairFile, bits: int, bucket: int) -> bool:
    """Whether all buckets of a file are merged once this one is."""
    return (file.bucket + 1) << (bits - file.bits) <= bucket + 1


def _merge_bucket(engine: Engine, folder: Path, state: PairState, bits: int, bucket: int) -> PairFile:
    before = [file for file in state.merged if file.covers(bits, bucket)]
    since = [file for file in state.waiting if file.covers(bits, bucket)]
    if not since and state.replaced is None and [file.bits for file in before] == [bits]:
        check_file(folder, before[0])
        return before[0]
    # Whether a column is written as one without nulls must not depend on what is known of the files: of this none is.
    engine.add_table("taken_never", PAIRS.empty_table())
    columns = ", ".join([f"{engine.sorted_key('user_key')} AS user_key", *PAIRS.names[1:]])
    inside = bucket_condition(bits, bucket)
    selects = [f"SELECT {columns}, 0 AS increment FROM taken_never"]
    for increment in sorted({file.increment for file in (*before, *since)}):
        own = [check_file(folder, file) for file in (*before, *since) if file.increment == increment]
        engine.add_files(f"taken_{increment}", own, PAIRS)
        selects.append(f"SELECT {columns}, {increment} AS increment FROM taken_{increment} AS own WHERE {inside}")
    engine.add_view("taken", " UNION ALL ".join(selects))
    path = folder / f"merge-{state.merge}" / f"{bucket:03d}.parquet"
    engine.run("merged_pairs", path)
    _check_order(path)
    merged = pair_file(folder, path, bits, bucket)
    sync(path.parent)
    return merged


def _check_order(path: Path) -> None:
    """An engine that did not keep the order of users would make every later merge, and every draw, wrong."""
    metadata = pq.read_metadata(path)
    ranges = [metadata.row_group(group).column(0).statistics for group in range(metadata.num_row_groups)]
    if any(first.max > second.min for first, second in pairwise(ranges)):
        raise AssertionError(f"the rows of {path} are not in the order of users")

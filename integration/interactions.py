"""From comments to interactions and users: taken in, merged bucket by bucket, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integration.gather import gather
from integration.integrated import add_interactions, add_item_pairs
from integration.pair_state import PAIRS, read_state, sweep
from integration.pairs import merge_pairs
from integration.users import count_users
from microlens.manifest import Output, describe_output
from microlens.parts import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from integration.comments import StandingComments
    from integration.engines import Engine
    from integration.pair_state import PairState
    from microlens.runs import Run

_FLOORS = pa.schema([PAIRS.field(name) for name in ("video_id", "commented_at_ms", "comment_id", "user_key")])


@dataclass(frozen=True, slots=True)
class Counted:
    """What was made of the comments."""

    outputs: tuple[Output, ...]
    rows: int
    """Interactions."""
    users: int


def gather_comments(
    run: Run,
    engine: Engine,
    comments: StandingComments,
    bucket_rows: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> PairState:
    """Take in what is new; a merge that was killed is finished before, so that its buckets are all of one kind."""
    folder = run.integrated / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    state = read_state(folder)
    sweep(folder, state)  # a crash may have left files
    if state.bits is not None:
        state = merge_pairs(engine, folder, state, bucket_rows, on_step)
    parts = {part.path: part for part in run.ledger.parts("comments")}
    return gather(
        folder,
        state,
        comments.readings,
        run_folder=run.folder,
        parts=parts,
        bucket_rows=bucket_rows,
        on_step=on_step,
    )


def count_interactions(
    run: Run,
    engine: Engine,
    comments: StandingComments,
    bucket_rows: int,
    on_step: Callable[[str], None] = lambda _: None,
) -> Counted:
    """Merge what is new, and make floors and users of all; the engine has the tables `items` and `twins`."""
    state = gather_comments(run, engine, comments, bucket_rows, on_step)
    pairs = run.integrated / "pairs"
    state = merge_pairs(engine, pairs, state, bucket_rows, on_step)
    items = engine.query("SELECT video_id FROM items ORDER BY video_id")["video_id"].to_pylist()
    files = [pairs / file.path for file in state.merged]
    add_item_pairs(engine, files)
    pages = dict(zip(*engine.query("SELECT video_id, counts_for FROM twins").to_pydict().values(), strict=True))
    most = run.recipe.comments.max_per_video
    floors = _make_floors(
        engine, run.integrated / "floors.parquet", _crowded(comments.readings, items, pages, most), most
    )
    users, rows = count_users(engine, run.integrated, state.merged, items=items, seed=run.recipe.seed, on_step=on_step)
    add_interactions(engine, files)
    merged = (Output(f"pairs/{file.path}", file.size_bytes, file.sha256, file.rows) for file in state.merged)
    return Counted((floors, *merged, *users), rows, sum(output.rows or 0 for output in users))


def _crowded(readings: pa.Table, items: Iterable[str], pages: Mapping[str, str], most: int) -> list[str]:
    """Items that may have more pairs than count, by the comments that were read: nearly always none."""
    totals = readings.group_by("video_id").aggregate([("comments", "sum")])
    is_shared = pc.is_in(totals["video_id"], pa.array(list(pages), pa.string()))
    read: Counter[str] = Counter()
    for row in totals.filter(pc.or_(is_shared, pc.greater(totals["comments_sum"], most))).to_pylist():
        read[pages.get(row["video_id"], row["video_id"])] += row["comments_sum"]
    return [video_id for video_id in items if read[video_id] > most]


def _make_floors(engine: Engine, path: Path, crowded: list[str], most: int) -> Output:
    if crowded:
        engine.add_table("crowded", pa.table([pa.array(crowded, pa.string())], names=["video_id"]))
        engine.run("floors", path, {"max_per_video": most})
    else:  # no need to look at every pair for that
        write_table(path, _FLOORS.empty_table())
        engine.add_files("floors", [path], _FLOORS)
    return describe_output(path.parent, path)

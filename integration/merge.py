"""From the parts of all nodes to consistent tables: verdicts, items, interactions, users.

The same inputs and recipe are not merged twice. Every table is written whole and renamed; the manifest comes last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from filtering.early import Thresholds
from filtering.verdict import Measured, decide
from integration.comments import StandingComments, standing_comments
from integration.engines import open_engine
from integration.interactions import count_interactions, gather_comments
from integration.lacking import check_here
from integration.lists import write_lists
from integration.twins import add_twins, count_merged
from microlens import __version__
from microlens.errors import CorruptDataError, NotReadyError
from microlens.manifest import MANIFEST_NAME, Manifest, describe_output, read_manifest, verify, write_manifest
from microlens.parts import verify_parts, write_table
from microlens.records import ASSET_KINDS
from microlens.tables import CRAWLED_VIDEOS, VERDICTS
from microlens.unfinished import count_lacking, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from integration.engines import Engine
    from integration.lists import Listed
    from microlens.ledger_rows import Part
    from microlens.recipe import Recipe
    from microlens.runs import Run
    from microlens.settings import Settings

_SILENT = """
SELECT audio_problem, count(*) AS items FROM items WHERE audio_problem IS NOT NULL
GROUP BY audio_problem ORDER BY items DESC, audio_problem
"""
_FETCHED = "SELECT count(*) FROM asset WHERE kind = 'video'"
_AT_ONCE = 10_000
_PARTIAL = {"is_partial": "yes"}
"""Stands among the inputs of tables that were made of an unfinished crawl."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the ledger lists."""

    lists: dict[str, Listed]
    """`page`, `selection`, `asset`, `failure`."""
    video_parts: tuple[Path, ...]
    comments: StandingComments
    hashes: dict[str, str]


def integrate(
    run: Run, settings: Settings, on_step: Callable[[str], None] = lambda _: None, *, is_partial: bool = False
) -> tuple[Manifest, bool]:
    """Merge what the nodes committed; gives the manifest, and whether anything had to be done.

    Comments that were merged before are not read again (integration.pairs); the other tables are made anew.

    NotReadyError if the crawl or the downloads are not finished, unless a partial result is wanted;
    CorruptDataError names all parts on disk that are not those that the ledger lists.
    """
    # The ledger is read under the lock: who takes comments in by an older list would take newer ones for gone.
    with run.lock_tables(), _lists_of(run) as lists:
        inputs = read_inputs(run, lists)
        if not is_partial:
            check_finished(run)
        known = _finished(run, inputs, is_partial=is_partial)
        return (known, False) if known is not None else (_make_tables(run, settings, inputs, on_step, is_partial), True)


def _make_tables(
    run: Run, settings: Settings, inputs: Inputs, on_step: Callable[[str], None], is_partial: bool
) -> Manifest:
    check_here(run, readings=inputs.comments.readings)
    on_step("check")
    verify_parts(run.folder, run.ledger.parts("videos"))
    started = datetime.now(UTC).isoformat(timespec="seconds")
    folder = run.integrated
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    with open_engine(settings, run.folder / "tmp") as engine:
        (folder / MANIFEST_NAME).unlink(missing_ok=True)
        add_inputs(engine, inputs)
        for step in ("videos", "measured"):
            on_step(step)
            rows[step] = engine.run(step, folder / f"{step}.parquet")
        on_step("verdicts")
        verdicts = _decide(folder / "measured.parquet", run.recipe)
        write_table(folder / "verdicts.parquet", verdicts)
        if not is_partial:
            _check_comments(run, verdicts)
        engine.add_files("verdicts", [folder / "verdicts.parquet"], VERDICTS)
        is_merging = run.recipe.filters.twins == "merge"
        rows["verdicts"] = verdicts.num_rows
        for step in ("items", "snapshots"):
            on_step(step)
            rows[step] = engine.run(step, folder / f"{step}.parquet")
        add_twins(engine, is_merging=is_merging)
        counted = count_interactions(run, engine, inputs.comments, settings.bucket_rows, on_step)
        merged = count_merged(engine) if is_merging else None
        silent = engine.query(_SILENT).to_pylist()
        fetched = engine.query(_FETCHED)[0][0].as_py()
    outputs = [describe_output(folder, folder / f"{name}.parquet", rows=count) for name, count in rows.items()]
    manifest = Manifest(
        stage="integrate",
        run_id=run.run_id,
        code_version=__version__,
        recipe_sha256=recipe_hash(run.recipe),
        inputs=inputs.hashes | (_PARTIAL if is_partial else {}),
        outputs=(*outputs, *counted.outputs),
        counters=_funnel(inputs.lists["page"].rows, fetched, verdicts, rows["items"])
        | {"interactions": counted.rows, "users": counted.users}
        | {"merged": merged, "audio_problems": {row["audio_problem"]: row["items"] for row in silent}},
        started_at=started,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(folder, manifest)
    return manifest


def gather(run: Run, settings: Settings, on_step: Callable[[str], None] = lambda _: None) -> dict[str, int]:
    """Take in the comments that stand now, and make no tables; gives what is merged, and what waits for `integrate`.

    What is taken in needs its parts no longer; texts and genders lie in others. CorruptDataError as for `integrate`.
    """
    with run.lock_tables(), open_engine(settings, run.folder / "tmp") as engine:
        comments = standing_comments(run)
        check_here(run, readings=comments.readings)
        state = gather_comments(run, engine, comments, settings.bucket_rows, on_step)
    return {
        "readings": comments.readings.num_rows,
        "pairs": sum(file.rows for file in state.merged),
        "comments that wait": sum(file.rows for file in state.waiting),
    }


def check_finished(run: Run) -> None:
    """NotReadyError unless the crawl is finished and every selected video's media and comments are decided."""
    if not run.ledger.is_stage_finished("crawl"):
        raise NotReadyError(
            f"the crawl of {run.run_id!r} is not finished",
            hint="run `microlens-build crawl` and `work` first, or take what there is with `integrate --partial`",
        )
    opened = run.refreshes.open_one()
    if opened is not None:
        raise NotReadyError(
            f"refresh {opened.number} of {run.run_id!r} is not finished",
            hint="run `microlens-build crawl RUN --since` again, then `work`, or take what there is with `--partial`",
        )
    waiting = count_lacking(run.ledger, [kind for kind in ASSET_KINDS if kind != "audio" or run.recipe.media.audio])
    if waiting:
        raise NotReadyError(
            f"{waiting} files of {run.run_id!r} are neither fetched nor given up",
            hint="run `microlens-build work` first, or take what there is with `integrate --partial`",
        )


def _finished(run: Run, inputs: Inputs, *, is_partial: bool) -> Manifest | None:
    """The same tables, if they stand there; whole ones also serve where partial ones would do."""
    good = [inputs.hashes, inputs.hashes | _PARTIAL] if is_partial else [inputs.hashes]
    try:
        known = read_manifest(run.integrated, next_step="integrate")
        is_same = (known.recipe_sha256, known.code_version) == (recipe_hash(run.recipe), __version__)
        return verify(run.integrated) if is_same and known.inputs in good else None
    except (NotReadyError, CorruptDataError):
        return None


def _check_comments(run: Run, verdicts: pa.Table) -> None:
    """NotReadyError if comments that count were neither collected nor given up since their page was last read."""
    counts = verdicts["is_kept"]
    if run.recipe.filters.twins == "merge":
        counts = pc.or_(counts, verdicts["twin_of"].is_valid())
    counted = verdicts["video_id"].filter(counts).combine_chunks()
    lacking = (pa.array(some, pa.string()) for some in unfinished(run.ledger, ()))
    waiting = sum(pc.sum(pc.is_in(some, counted)).as_py() or 0 for some in lacking)
    if waiting:
        raise NotReadyError(
            f"the comments of {waiting} videos of {run.run_id!r} are not collected yet",
            hint="run `microlens-build work` first, or take what there is with `integrate --partial`",
        )


def recipe_hash(recipe: Recipe) -> str:
    """What of the recipe decides the integrated tables."""
    relevant = recipe.model_dump(mode="json", include={"platform", "seed", "filters", "comments", "seeds"})
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


@contextmanager
def _lists_of(run: Run) -> Iterator[Path]:
    """A folder for the ledger's lists; what a killed process left there goes first."""
    folder = run.folder / "tmp" / "lists"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_inputs(run: Run, folder: Path) -> Inputs:
    """Write what the ledger lists to a folder; NotReadyError if that is nothing yet."""
    lists = write_lists(run.ledger, folder)
    if not lists["page"].rows:
        raise NotReadyError(f"nothing is crawled yet in {run.folder}", hint="run `microlens-build crawl` first")
    parts = {kind: run.ledger.parts(kind) for kind in ("videos", "comments")}
    comments = standing_comments(run)
    hashes = {name: listed.sha256 for name, listed in lists.items()}
    hashes["videos_parts"] = _digest(sorted(part.sha256 for part in parts["videos"]))
    hashes |= comments_hashes(comments, parts["comments"])
    return Inputs(lists, tuple(run.folder / part.path for part in parts["videos"]), comments, hashes)


def comments_hashes(comments: StandingComments, parts: Iterable[Part]) -> dict[str, str]:
    """What the manifest says of the comments that the tables were made of."""
    return {
        "comments_left_out": _digest(list(comments.left_out)),
        "comments_parts": _digest(sorted(part.sha256 for part in parts)),
    }


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def add_inputs(engine: Engine, inputs: Inputs) -> None:
    """Make all but the comments readable by the steps."""
    engine.add_files("crawled_videos", inputs.video_parts, CRAWLED_VIDEOS)
    for name, listed in inputs.lists.items():
        engine.add_files(name, [listed.path], listed.schema)


def measured_rows(path: Path) -> Iterator[Measured]:
    """The rows of the step `measured`, in the order of videos; some thousands are in memory."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_AT_ONCE):
            yield from (Measured(**row) for row in batch.to_pylist())


def _decide(path: Path, recipe: Recipe) -> pa.Table:
    verdicts = decide(measured_rows(path), Thresholds.of(recipe.filters), recipe.seeds)
    columns = ([getattr(verdict, name) for verdict in verdicts] for name in VERDICTS.names)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, VERDICTS, strict=True)], schema=VERDICTS
    )


def _funnel(found: int, fetched: int, verdicts: pa.Table, kept: int) -> dict[str, Any]:
    """Found, fetched, dropped for which reason, kept: each video is counted once in each line."""
    counts = verdicts["reason"].drop_null().value_counts().to_pylist()
    reasons = {row["values"]: row["counts"] for row in counts}
    if kept + sum(reasons.values()) != verdicts.num_rows:
        raise AssertionError(f"{verdicts.num_rows} videos were judged, {kept} kept, {sum(reasons.values())} dropped")
    return {
        "found": found,
        "fetched": fetched,
        "dropped": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "kept": kept,
    }

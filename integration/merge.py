"""From the parts of all nodes to consistent tables: verdicts, items, interactions, users.

The same inputs and recipe are not merged twice. Every table is written whole and renamed; the manifest comes last.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from filtering.early import Thresholds
from filtering.verdict import Measured, decide
from integration.comments import StandingComments, standing_comments
from integration.engines import open_engine
from integration.interactions import count_interactions, gather_comments
from integration.lacking import check_here
from integration.twins import add_twins, count_merged
from microlens import __version__
from microlens.backlog import asset_name, media_items
from microlens.comment_lists import newest_readings
from microlens.errors import CorruptDataError, NotReadyError
from microlens.manifest import MANIFEST_NAME, Manifest, describe_output, read_manifest, write_manifest
from microlens.parts import verify_parts, write_table
from microlens.records import refreshed
from microlens.store import sha256_of
from microlens.tables import CRAWLED_VIDEOS, MEASUREMENTS, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from integration.engines import Engine
    from microlens.ledger_rows import Part
    from microlens.recipe import Recipe
    from microlens.runs import Run
    from microlens.settings import Settings

_PAGE = pa.schema(
    [
        ("video_id", pa.string()),
        ("failure", pa.string()),
        ("refusal", pa.string()),
        ("like_count", pa.int64()),
        ("has_cover", pa.bool_()),
        ("has_video", pa.bool_()),
    ]
)
_SELECTION = pa.schema([("video_id", pa.string()), ("stage", pa.string()), ("depth", pa.int32())])
_FAILURE = pa.schema([("name", pa.string()), ("reason", pa.string())])
_SILENT = """
SELECT audio_problem, count(*) AS items FROM items WHERE audio_problem IS NOT NULL
GROUP BY audio_problem ORDER BY items DESC, audio_problem
"""

_PARTIAL = {"is_partial": "yes"}
"""Stands among the inputs of tables that were made of an unfinished crawl."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the ledger lists, as tables in a fixed order."""

    pages: pa.Table
    selections: pa.Table
    assets: pa.Table
    failures: pa.Table
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
    with run.lock_tables():
        inputs = read_inputs(run)
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
        verdicts = _decide(engine.query("SELECT * FROM measured ORDER BY video_id"), run.recipe)
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
    outputs = [describe_output(folder, folder / f"{name}.parquet", rows=count) for name, count in rows.items()]
    manifest = Manifest(
        stage="integrate",
        run_id=run.run_id,
        code_version=__version__,
        recipe_sha256=recipe_hash(run.recipe),
        inputs=inputs.hashes | (_PARTIAL if is_partial else {}),
        outputs=(*outputs, *counted.outputs),
        counters=_funnel(inputs, verdicts, rows["items"])
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
        comments = standing_comments(run, run.refreshes.standings())
        check_here(run, readings=comments.readings)
        state = gather_comments(run, engine, comments, settings.bucket_rows, on_step)
    return {
        "readings": sum(one.path is not None for one in comments.readings),
        "pairs": sum(file.rows for file in state.merged),
        "comments that wait": sum(file.rows for file in state.waiting),
    }


def read_integrated(run: Run) -> Manifest:
    """The manifest of the integrated tables, whose files are checked against it; NotReadyError if there are none."""
    manifest = read_manifest(run.integrated, next_step=f"run `microlens-build integrate {run.run_id}` first")
    for output in manifest.outputs:
        path = run.integrated / output.path
        if not path.exists() or sha256_of(path) != output.sha256:
            raise CorruptDataError(
                f"{path} is not the file that its manifest lists",
                hint=f"delete {run.integrated} and run `microlens-build integrate {run.run_id}`",
            )
    return manifest


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
    waiting = _waiting_for_media(run)
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
        return read_integrated(run) if is_same and known.inputs in good else None
    except (NotReadyError, CorruptDataError):
        return None


def _waiting_for_media(run: Run) -> int:
    ledger = run.ledger
    selected = {row.video_id for row in ledger.selections()}
    known = {asset_name(row["video_id"], row["kind"]) for row in ledger.assets()}
    known |= {row["name"] for row in ledger.final_failures("media")}
    pages = (one.page for one in run.refreshes.standings() if one.page.video_id in selected)
    return sum(item.name not in known for page in pages for item in media_items(page, run.recipe.media))


def _check_comments(run: Run, verdicts: pa.Table) -> None:
    """NotReadyError if comments that count were neither collected nor given up since their page was last read."""
    read = newest_readings(run.ledger.comment_lists())
    given_up = {row["name"] for row in run.ledger.final_failures("comments")}
    is_merging = run.recipe.filters.twins == "merge"
    counted = {
        row["video_id"] for row in verdicts.to_pylist() if row["is_kept"] or (is_merging and row["twin_of"] is not None)
    }
    waiting = sum(
        read.get(one.page.video_id, -1) < one.refresh and refreshed(one.page.video_id, one.refresh) not in given_up
        for one in run.refreshes.standings(list(counted))
    )
    if waiting:
        raise NotReadyError(
            f"the comments of {waiting} videos of {run.run_id!r} are not collected yet",
            hint="run `microlens-build work` first, or take what there is with `integrate --partial`",
        )


def recipe_hash(recipe: Recipe) -> str:
    """What of the recipe decides the integrated tables."""
    relevant = recipe.model_dump(mode="json", include={"platform", "seed", "filters", "comments", "seeds"})
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def read_inputs(run: Run) -> Inputs:
    """Read what the ledger lists; NotReadyError if that is nothing yet."""
    ledger = run.ledger
    standings = run.refreshes.standings()
    if not standings:
        raise NotReadyError(f"nothing is crawled yet in {run.folder}", hint="run `microlens-build crawl` first")
    pages = [
        {
            **{name: getattr(page, name) for name in ("video_id", "failure", "refusal", "like_count")},
            "has_cover": any(link.kind == "cover" for link in page.media),
            "has_video": any(link.kind == "video" for link in page.media),
        }
        for page in (one.page for one in standings)
    ]
    failures = {row["name"]: row["reason"] for row in ledger.final_failures("media")}
    tables = {
        "page": pa.Table.from_pylist(pages, schema=_PAGE),
        "selection": pa.Table.from_pylist([asdict(row) for row in ledger.selections()], schema=_SELECTION),
        "asset": pa.Table.from_pylist(ledger.assets(), schema=MEASUREMENTS),
        "failure": pa.Table.from_pylist(
            [{"name": name, "reason": reason} for name, reason in sorted(failures.items())], schema=_FAILURE
        ),
    }
    parts = {kind: ledger.parts(kind) for kind in ("videos", "comments")}
    hashes = {name: _table_hash(table) for name, table in tables.items()}
    comments = standing_comments(run, standings)
    hashes["videos_parts"] = _digest(sorted(part.sha256 for part in parts["videos"]))
    hashes |= comments_hashes(comments, parts["comments"])
    return Inputs(
        pages=tables["page"],
        selections=tables["selection"],
        assets=tables["asset"],
        failures=tables["failure"],
        video_parts=tuple(run.folder / part.path for part in parts["videos"]),
        comments=comments,
        hashes=hashes,
    )


def comments_hashes(comments: StandingComments, parts: Iterable[Part]) -> dict[str, str]:
    """What the manifest says of the comments that the tables were made of."""
    return {
        "comments_left_out": _digest(list(comments.left_out)),
        "comments_parts": _digest(sorted(part.sha256 for part in parts)),
    }


def _table_hash(table: pa.Table) -> str:
    return _digest([json.dumps(row, sort_keys=True) for row in table.to_pylist()])


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def add_inputs(engine: Engine, inputs: Inputs) -> None:
    """Make all but the comments readable by the steps."""
    engine.add_files("crawled_videos", inputs.video_parts, CRAWLED_VIDEOS)
    engine.add_table("page", inputs.pages)
    engine.add_table("selection", inputs.selections)
    engine.add_table("asset", inputs.assets)
    engine.add_table("failure", inputs.failures)


def _decide(measured: pa.Table, recipe: Recipe) -> pa.Table:
    rows = (Measured(**row) for row in measured.to_pylist())
    verdicts = decide(rows, Thresholds.of(recipe.filters), recipe.seeds)
    return pa.Table.from_pylist([asdict(verdict) for verdict in verdicts], schema=VERDICTS)


def _funnel(inputs: Inputs, verdicts: pa.Table, kept: int) -> dict[str, Any]:
    """Found, fetched, dropped for which reason, kept: each video is counted once in each line."""
    reasons: dict[str, int] = {}
    for reason in verdicts["reason"].to_pylist():
        if reason is not None:
            reasons[reason] = reasons.get(reason, 0) + 1
    fetched = {row["video_id"] for row in inputs.assets.to_pylist() if row["kind"] == "video"}
    if kept + sum(reasons.values()) != verdicts.num_rows:
        raise AssertionError(f"{verdicts.num_rows} videos were judged, {kept} kept, {sum(reasons.values())} dropped")
    return {
        "found": inputs.pages.num_rows,
        "fetched": len(fetched),
        "dropped": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        "kept": kept,
    }

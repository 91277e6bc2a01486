"""What is published: releases/<name>/ with data/, media/, README.md, and the manifest written last.

`data/` depends on the inputs, the recipe and the key alone: no clock, no machine's name, so the same run gives the
same bytes whatever happened on the way. A media file's second name is a hard link into the run's store.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from integration.anonymise import ITEM_IDS, USER_IDS, assign_ids
from integration.card import card, statistics
from integration.shape import published_beside, shape_of
from microlens import __version__
from microlens.errors import CorruptDataError, NotReadyError
from microlens.logs import log
from microlens.manifest import (
    Manifest,
    Output,
    describe_output,
    read_manifest,
    write_manifest,
)
from microlens.store import sha256_of
from microlens.tables import COMMENTS, INTERACTIONS, ITEMS, USERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.draw import Draw
    from integration.engines import Engine
    from integration.sample import Sample
    from microlens.runs import Run

_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/avif": ".avif",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "video/ogg": ".ogv",
    "video/x-matroska": ".mkv",
    "video/mp2t": ".ts",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/aac": ".aac",
    "audio/flac": ".flac",
    "audio/wav": ".wav",
    "audio/webm": ".weba",
}
_SOUND_SUFFIXES = {"video/mp4": ".m4a", "video/x-matroska": ".mka"}
"""A container of both kinds that holds sound alone: nothing in its head says so."""
MEDIA_FOLDERS = {"cover": "covers", "video": "videos", "audio": "audios"}
_TABLES = {
    "items": ("release_items", ITEMS),
    "interactions": ("release_interactions", INTERACTIONS),
    "users": ("release_users", USERS),
    "comments": ("release_comments", COMMENTS),
}


_ROWS_AT_ONCE = 1 << 20
"""In memory, and in a row group."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be published: the engine's table `pairs`, and how it came about."""

    draw: Draw
    """Its name is the release's."""
    drawn: Sample
    integrated: Manifest
    inputs: dict[str, str]
    work: Path
    """For tables on the way."""


@dataclass(frozen=True, slots=True)
class BuiltRelease:
    name: str
    path: Path
    counts: dict[str, Any]
    is_new: bool
    """False if the very same release stood there already."""


def build_release(run: Run, engine: Engine, plan: Plan, on_step: Callable[[str], None]) -> BuiltRelease:
    """Write the release, unless the same one is finished already."""
    draw, work = plan.draw, plan.work
    name = str(draw.name)
    known = finished_release(run, name, plan.inputs)
    if known is not None:
        return known
    started = datetime.now(UTC).isoformat(timespec="seconds")
    folder, draft = run.release_folder(name), run.folder / "tmp" / f"release-{name}"
    shutil.rmtree(draft, ignore_errors=True)
    on_step("users and items")
    engine.run("observed_items", work / "observed_items.parquet")
    links = _assign(run, engine, name, work / "ids")
    outputs = []
    for table, (step, schema) in _TABLES.items():
        on_step(table)
        engine.run(step, work / f"{table}.parquet", {"timestamps": draw.timestamps})
        outputs.append(publish_table(work / f"{table}.parquet", draft, schema))
    on_step("media")
    outputs += _link_media(run, draft, links)
    shape = shape_of(draft / "data" / "interactions.parquet")
    counts = statistics(draft / "data") | {
        "shape": shape,
        "published": published_beside(shape),
        "drawn": {"rules": dict(draw.rules()), **asdict(plan.drawn)},
    }
    funnel = plan.integrated.counters
    (draft / "README.md").write_text(card(draw, run.recipe, funnel, counts), encoding="utf-8")
    (draft / "recipe.yaml").write_text(run.recipe.to_yaml(), encoding="utf-8")
    manifest = Manifest(
        stage="release",
        run_id=run.run_id,
        code_version=__version__,
        recipe_sha256=run.recipe.sha256,
        inputs=plan.inputs,
        outputs=(*outputs, *(describe_output(draft, draft / name) for name in ("README.md", "recipe.yaml"))),
        counters=counts,
        started_at=started,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(draft, manifest)
    # The old version stays readable until the new one is whole.
    folder.parent.mkdir(parents=True, exist_ok=True)
    old = run.folder / "tmp" / f"old-{name}"
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        log.info("release_replaced", release=name)
        folder.rename(old)
    run.private_ids(name).mkdir(parents=True, exist_ok=True)
    for path in (work / "ids").glob("*.parquet"):
        path.replace(run.private_ids(name) / path.name)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return BuiltRelease(name, folder, counts, is_new=True)


def finished_release(run: Run, name: str, inputs: dict[str, str]) -> BuiltRelease | None:
    """The very same release, if it stands there undamaged: tables by hash, media by size."""
    folder = run.release_folder(name)
    try:
        known = read_manifest(folder, next_step="build the release")
    except (NotReadyError, CorruptDataError):
        return None
    is_same = known.inputs == inputs and known.code_version == __version__
    if not is_same or not all(is_intact(folder, output) for output in known.outputs):
        return None
    return BuiltRelease(name, folder, known.counters, is_new=False)


def is_intact(folder: Path, output: Output) -> bool:
    path = folder / output.path
    if not path.exists() or path.stat().st_size != output.size_bytes:
        return False
    return output.path.startswith("media/") or sha256_of(path) == output.sha256


def hash_of(finished: Manifest) -> str:
    """Of all that a manifest lists."""
    return hashlib.sha256(repr([(output.path, output.sha256) for output in finished.outputs]).encode()).hexdigest()


def _assign(run: Run, engine: Engine, name: str, into: Path) -> list[tuple[str, str]]:
    """Give users and items their public ids; gives what is to be linked: (sha256, path in the release).

    Maps that grow are written to `into`.
    """
    private = run.private_ids(name)
    users = engine.query("SELECT user_key FROM observed_users ORDER BY user_key")["user_key"]
    keys = users.cast(pa.binary(16)).combine_chunks()
    del users
    user_ids = assign_ids(private / "users.parquet", keys, USER_IDS, run.pseudonyms, into=into)
    engine.add_table("user_ids", pa.table([keys, user_ids], schema=USER_IDS))
    columns = ", ".join(["video_id", *(f"{kind}_{fact}" for kind in MEDIA_FOLDERS for fact in ("sha256", "mime"))])
    items = engine.query(
        f"SELECT {columns} FROM items WHERE video_id IN (SELECT video_id FROM observed_items) ORDER BY video_id"
    )
    videos = items["video_id"].cast(pa.string()).combine_chunks()
    item_ids = assign_ids(private / "items.parquet", videos, ITEM_IDS, run.pseudonyms, into=into)
    rows, links = [], []
    for item, item_id in zip(items.to_pylist(), item_ids.to_pylist(), strict=True):
        paths = dict(_paths(item, item_id))
        rows.append(
            {"video_id": item["video_id"], "item_id": item_id}
            | {f"{kind}_path": paths.get(kind) for kind in MEDIA_FOLDERS}
        )
        links += [(item[f"{kind}_sha256"], path) for kind, path in paths.items()]
    schema = pa.schema([*ITEM_IDS, *(pa.field(f"{kind}_path", pa.string()) for kind in MEDIA_FOLDERS)])
    engine.add_table("item_ids", pa.Table.from_pylist(rows, schema=schema))
    return links


def _paths(item: dict[str, Any], item_id: int) -> Iterator[tuple[str, str]]:
    for kind, folder in MEDIA_FOLDERS.items():
        if item[f"{kind}_sha256"] is not None:
            yield kind, f"media/{folder}/{item_id}{_suffix(kind, item[f'{kind}_mime'])}"


def _suffix(kind: str, mime: str) -> str:
    return _SOUND_SUFFIXES.get(mime if kind == "audio" else "") or _SUFFIXES.get(mime, ".bin")


def publish_table(step_output: Path, folder: Path, schema: pa.Schema) -> Output:
    """Write a step's rows under the public schema, whose columns are described in the file itself."""
    path = folder / "data" / step_output.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetFile(step_output) as source, pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in source.iter_batches(_ROWS_AT_ONCE, columns=schema.names):
            writer.write_batch(batch.select(schema.names).cast(schema))
        rows = source.metadata.num_rows
    return describe_output(folder, path, rows=rows)


def _link_media(run: Run, folder: Path, links: list[tuple[str, str]]) -> list[Output]:
    outputs = []
    for sha256, name in sorted(links, key=lambda link: link[1]):
        path = folder / name
        run.store.link(sha256, path)
        outputs.append(describe_output(folder, path, sha256=sha256))
    return outputs

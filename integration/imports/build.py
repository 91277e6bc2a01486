"""A release of foreign files: the very layout that our own have, and the maps from its ids to theirs.

All is written into a folder beside the release's own, which is renamed once its manifest stands: whatever is killed on
the way leaves no release, and the same command makes it anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from integration.card import statistics
from integration.imports import FORMATS
from integration.imports.card import card
from integration.imports.features import import_features
from integration.imports.foreign import Options
from integration.imports.items import item_table
from integration.imports.media import link_media, listing
from integration.imports.tables import publish, write_tables
from integration.imports.times import check_unit
from integration.release import BuiltRelease, is_intact
from integration.shape import published_beside, shape_of
from microlens import __version__
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.locks import scratch_folder
from microlens.manifest import MANIFEST_NAME, Manifest, describe_output, read_manifest, write_manifest
from microlens.spelling import nearest
from microlens.store import sha256_of
from microlens.tables import ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from integration.imports.foreign import Files
    from integration.imports.lines import Tell
    from microlens.settings import Settings


@dataclass(frozen=True, slots=True)
class Import:
    """What is imported, and where to."""

    format: str
    """A key of FORMATS."""
    source: Path
    release: Path
    options: Options = field(default_factory=Options)


def import_release(asked: Import, settings: Settings, tell: Tell) -> BuiltRelease:
    """Make a release of foreign files, unless the same one stands there already.

    `tell` is called with what is being done, how much of it is done, and how much there is (0 where nobody knows).
    RecipeError for a source or a folder that cannot be used, ForeignFileError for a file that is not of its format;
    nothing of a failed import stays.
    """
    try:
        return _import(asked, settings, tell)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise RecipeError(
            f"{error.filename} cannot be read or made: {error.strerror}",
            hint="change its permissions, or choose another folder",
        ) from error


def _import(asked: Import, settings: Settings, tell: Tell) -> BuiltRelease:
    if asked.format not in FORMATS:
        raise RecipeError(f"there is no format {asked.format!r}", hint=nearest(asked.format, FORMATS))
    check_unit(asked.options.time_unit)
    if asked.format != "recbole" and (asked.options.min_rating is not None or asked.options.has_gender):
        raise RecipeError(
            "--min-rating and --gender are about RecBole's files: others tell neither", hint="leave them out"
        )
    files = FORMATS[asked.format].find(asked.source)
    target = asked.release.absolute()
    _refuse_strange(target)
    tell("hashes", 0, 0)
    inputs = _inputs(asked, files)
    around = target.with_name(f".{target.name}.import")
    taken = NotReadyError(f"another process imports into {target}", hint="wait until it ends, then try again")
    with scratch_folder(around, taken):
        known = _finished(target, inputs)
        if known is not None:
            return known
        for part in ("draft", "work"):
            (around / part).mkdir()
        built = _build(asked, files, inputs, around, settings, tell=tell)
        (around / "draft").rename(target)
    return BuiltRelease(target.name, target, built.counters, is_new=True)


def _refuse_strange(target: Path) -> None:
    """RecipeError for a folder that holds something, and no finished release."""
    if target.exists() and not (target / MANIFEST_NAME).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise RecipeError(f"{target} is there already, and no release", hint="name a folder that is not there yet")


def _finished(target: Path, inputs: Mapping[str, str]) -> BuiltRelease | None:
    """The same release, if it stands there undamaged; RecipeError if another stands there."""
    if not (target / MANIFEST_NAME).is_file():
        return None
    try:
        known = read_manifest(target, next_step="import it again")
    except CorruptDataError as error:
        raise RecipeError(error.message, hint=f"delete {target}, then import again") from error
    if known.inputs != inputs or known.code_version != __version__:
        raise RecipeError(
            f"{target} holds a release of other files, options or another version",
            hint="name another folder, or delete that one",
        )
    damaged = next((output.path for output in known.outputs if not is_intact(target, output)), None)
    if damaged is not None:
        raise RecipeError(f"{target / damaged} is damaged", hint=f"delete {target}, then import again")
    return BuiltRelease(target.name, target, known.counters, is_new=False)


def _inputs(asked: Import, files: Files) -> dict[str, str]:
    """What the release depends on: name -> hash. Of media names and sizes are hashed, not their bytes."""
    told = json.dumps({"format": asked.format, "name": files.name, **asdict(asked.options)}, sort_keys=True)
    media = {path.name: hashlib.sha256(listing(path).encode()).hexdigest() for path in files.media.values()}
    read = {path.name: sha256_of(path) for path in (*files.tables.values(), *files.features)}
    return {"options": hashlib.sha256(told.encode()).hexdigest(), **read, **media}


def _build(
    asked: Import, files: Files, inputs: dict[str, str], around: Path, settings: Settings, *, tell: Tell
) -> Manifest:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    draft, work = around / "draft", around / "work"
    foreign = FORMATS[asked.format].read(files, asked.options, work, tell)
    tables = write_tables(foreign, files.tables["pairs"], draft, work, settings, tell=tell)
    tokens, outputs = tables.items, tables.outputs
    media = link_media(files.media, tokens, draft, tell)
    items, told = item_table(tokens, foreign.items, media.files)
    outputs += [publish(items, "items", draft, work, ITEMS), *(file for _, _, file in media.files)]
    features = {}
    for path in files.features:
        tell(path.name, 0, 0)
        features[path.name] = import_features(path, tokens, draft / "features" / path.name)
        outputs.append(describe_output(draft, draft / "features" / path.name, rows=len(tokens)))
    tell("statistics", 0, 0)
    shape = shape_of(draft / "data" / "interactions.parquet")
    imported = {
        "format": asked.format,
        "dataset": files.name,
        "options": asdict(asked.options),
        "time_unit": foreign.time_unit,
        **foreign.counts,
        **tables.counts,
        **told,
        **media.left_out,
        "features": features,
        "files_left_out": list(files.left_out),
    }
    counts = statistics(draft / "data") | {"shape": shape, "published": published_beside(shape), "imported": imported}
    (draft / "README.md").write_text(card(asked.release.absolute().name, counts), encoding="utf-8")
    manifest = Manifest(
        stage="import",
        run_id=files.name,
        code_version=__version__,
        recipe_sha256=inputs["options"],
        inputs=inputs,
        outputs=(*outputs, describe_output(draft, draft / "README.md")),
        counters=counts,
        started_at=started,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_manifest(draft, manifest)
    return manifest

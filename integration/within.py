"""Drawing from a release that is there already: its users, its items, its pairs, and nothing else."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from integration.anonymise import ITEM_IDS, USER_IDS
from microlens.errors import NotReadyError, RecipeError
from microlens.manifest import MANIFEST_NAME, read_manifest, verify_output
from microlens.tables import INTERACTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from integration.engines import Engine
    from microlens.manifest import Manifest
    from microlens.runs import Run


def read_release(run: Run, name: str) -> Manifest:
    """The manifest of a release of this run; RecipeError for a name that none has."""
    known = sorted(path.parent.name for path in run.folder.glob(f"releases/*/{MANIFEST_NAME}"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise RecipeError(
            f"the run {run.run_id!r} has no release {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""),
            hint="draw within one of: " + (", ".join(known) or "(none yet)"),
        )
    return read_manifest(run.release_folder(name), next_step="build the release")


def add_pairs_within(run: Run, engine: Engine, name: str, work: Path) -> None:
    """Make the table `pairs_within` of what a release holds, by its private maps, as far as it still stands.

    NotReadyError if the maps are gone; CorruptDataError if its table of pairs is not the one that was published.
    """
    maps = run.private_ids(name)
    for kind, schema in (("users", USER_IDS), ("items", ITEM_IDS)):
        if not (maps / f"{kind}.parquet").exists():
            raise NotReadyError(
                f"{maps / kind}.parquet is not there: nobody knows whom the release {name!r} speaks of",
                hint="restore it from a backup, or draw without --within",
            )
        engine.add_files(f"within_{kind}", [maps / f"{kind}.parquet"], schema)
    (listed,) = (output for output in read_release(run, name).outputs if output.path == "data/interactions.parquet")
    engine.add_files("within_pairs", [verify_output(run.release_folder(name), listed)], INTERACTIONS)
    engine.run("pairs_within", work / "pairs_within.parquet")

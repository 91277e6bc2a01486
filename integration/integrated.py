"""Reading integrated tables: the files that a manifest lists, and interactions, a view over the merged pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.pair_state import PAIRS
from integration.twins import add_twins, is_merging
from microlens.manifest import verify_output

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from integration.engines import Engine
    from integration.sampling_order import Arc
    from microlens.manifest import Manifest

_PAIRS_FOLDER = "pairs"
_MAKE_AGAIN = "delete the folder integrated/ of the run, then run `microlens-build integrate`"


def add_integrated(engine: Engine, folder: Path, manifest: Manifest) -> None:
    """Make every table of a finished integration but `interactions` readable by its name.

    CorruptDataError if a file is not the one that the manifest lists.
    """
    files: dict[str, list[Path]] = {}
    for output in manifest.outputs:
        name = output.path.partition("/")[0].removesuffix(".parquet")
        if name != _PAIRS_FOLDER:
            files.setdefault(name, []).append(verify_output(folder, output, hint=_MAKE_AGAIN))
    for name, paths in files.items():
        engine.add_files(name, paths)
    add_twins(engine, is_merging=is_merging(manifest))


def pair_files(folder: Path, manifest: Manifest, arc: Arc | None = None) -> list[Path]:
    """The files of merged pairs, checked as they are read; with an arc those alone that have users in it."""
    pairs = [output for output in manifest.outputs if output.path.startswith(f"{_PAIRS_FOLDER}/")]
    return [
        verify_output(folder, output, hint=_MAKE_AGAIN)
        for part, output in enumerate(pairs)  # equal parts of all keys, in their order
        if arc is None or arc.touches(part, len(pairs))
    ]


def add_interactions(engine: Engine, pairs: Sequence[Path]) -> None:
    """Make `interactions` readable, of these files; the engine has `items`, `twins` and `floors`."""
    add_item_pairs(engine, pairs)
    engine.add_step("interactions")


def add_item_pairs(engine: Engine, pairs: Sequence[Path]) -> None:
    """The same before an item's oldest pairs are left out; the engine has `items` and `twins`."""
    engine.add_files("merged_pairs", pairs, PAIRS)
    engine.add_step("item_pairs")

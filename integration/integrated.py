"""Reading integrated tables: the files that a manifest lists, and interactions, a view over the merged pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.pair_state import PAIRS
from integration.twins import add_twins, is_merging

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from integration.engines import Engine
    from integration.sampling_order import Arc
    from microlens.manifest import Manifest


def add_integrated(engine: Engine, folder: Path, manifest: Manifest, arc: Arc | None = None) -> None:
    """Make every table of a finished integration readable by its name.

    With an arc, interactions are at least those of the users in it: the files that have none are left out.
    """
    files: dict[str, list[Path]] = {}
    for output in manifest.outputs:
        files.setdefault(output.path.partition("/")[0].removesuffix(".parquet"), []).append(folder / output.path)
    pairs = files.pop("pairs")  # equal parts of all keys, in their order
    if arc is not None:
        pairs = [path for part, path in enumerate(pairs) if arc.touches(part, len(pairs))]
    for name, paths in files.items():
        engine.add_files(name, paths, PAIRS)
    add_twins(engine, is_merging=is_merging(manifest))
    add_interactions(engine, pairs)


def add_interactions(engine: Engine, pairs: Sequence[Path]) -> None:
    """Make `interactions` readable, of these files; the engine has `items`, `twins` and `floors`."""
    add_item_pairs(engine, pairs)
    engine.add_step("interactions")


def add_item_pairs(engine: Engine, pairs: Sequence[Path]) -> None:
    """The same before an item's oldest pairs are left out; the engine has `items` and `twins`."""
    engine.add_files("merged_pairs", pairs, PAIRS)
    engine.add_step("item_pairs")

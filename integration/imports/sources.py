"""Finds the files of one dataset by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_TOLD = 8
"""Names in a message."""


def one_dataset(source: Path, endings: Sequence[str], *, but: Sequence[str] = ()) -> tuple[str, Path, Path]:
    """A dataset's name, the file of its pairs, and their folder; of several endings the first is taken.

    `source` is a folder, or the file itself. `but` are endings of files that hold something else. RecipeError if there
    is no such file, or there are those of several datasets.
    """
    if source.is_file():
        ending = next((ending for ending in endings if source.name.endswith(ending)), None)
        if ending is None:
            raise RecipeError(f"{source} is no file of pairs by its name", hint=f"one is named NAME{_or(endings)}")
        return source.name.removesuffix(ending), source, source.parent
    if not source.is_dir():
        raise RecipeError(f"there is nothing at {source.absolute()}", hint="name the folder of the files")
    names = [name for name in names_in(source) if not name.endswith(tuple(but))]
    found = {ending: [name for name in names if name.endswith(ending)] for ending in endings}
    datasets = sorted({name.removesuffix(ending) for ending, own in found.items() for name in own})
    if not datasets:
        there = ", ".join(names[:_TOLD]) + ", ..." * (len(names) > _TOLD)
        raise RecipeError(
            f"{source} holds no file of pairs, NAME{_or(endings)}; there is {there or 'nothing'}",
            hint="name the folder that has it, or another --format",
        )
    if len(datasets) > 1:
        first = next(own[0] for own in found.values() if own)
        raise RecipeError(
            f"{source} holds {len(datasets)} datasets: {', '.join(datasets[:_TOLD])}",
            hint=f"name the file of one, as {source / first}",
        )
    pairs = next(own[0] for own in found.values() if own)
    return datasets[0], source / pairs, source


def names_in(folder: Path) -> list[str]:
    """Files in a folder, sorted, hidden ones left out."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _or(endings: Sequence[str]) -> str:
    return " or NAME".join(endings)

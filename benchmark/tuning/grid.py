"""Which configurations a search tries: points of a grid, laid over a preset."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmark.models import MODELS, settings_of
from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmark.settings import Settings

    Grid = Mapping[str, Sequence[object]]

PAPER_GRID: Grid = {
    "learning_rate": (1e-5, 5e-5, 1e-4, 5e-4, 1e-3),
    "width": (64, 128, 256, 512, 1024, 2048, 4096),
    "batch_size": (64, 128, 256, 512, 1024, 2048),
}
"""Section 3.2 of the MicroLens paper (Ni et al., 2023): learning rate, embedding size and batch size."""

ONE_THREAD = {"threads": 1}
"""Of a configuration, unless told otherwise: as many processes as cores, and results that no count of them changes."""


def read_grid(tries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read `name=value,value` of a command line; RecipeError for another form, and for a name that stands twice."""
    grid: dict[str, tuple[str, ...]] = {}
    for one in tries:
        name, _, text = (part.strip() for part in one.partition("="))
        values = tuple(value.strip() for value in text.split(",") if value.strip())
        if not (name and values):
            raise RecipeError(
                f"--try {one} is not NAME=VALUE,VALUE", hint="give a setting and its values, as learning_rate=1e-4,1e-3"
            )
        if name in grid:
            raise RecipeError(f"--try names {name} twice", hint=f"give all its values at once, as {name}=VALUE,VALUE")
        grid[name] = values
    return grid


def configurations(
    model: str, *, preset: str, overrides: Mapping[str, object], grid: Grid | None, count: int, seed: int
) -> list[Settings]:
    """Draw `count` points of a grid, or all if it has no more: each once, the preset's own first if it is one.

    The first n of any larger draw with the same seed are those of a draw of n. Without a grid it is the paper's, less
    what `overrides` settle. RecipeError for settings that do not exist or cannot be, and for a grid without effect.
    """
    chosen = _chosen_grid(model, overrides, grid)
    fixed = ONE_THREAD | dict(overrides)
    points = [dict(zip(chosen, values, strict=True)) for values in product(*chosen.values())]
    found = list(dict.fromkeys(settings_of(model, preset, fixed | point) for point in points))
    if grid and not set(grid) & MODELS[model].reads:
        raise RecipeError(
            f"{model} does not read {' and '.join(grid)}, so that all configurations would be the same",
            hint=f"it reads {', '.join(sorted(MODELS[model].reads))}",
        )
    order = np.random.default_rng(seed).permutation(len(found)).tolist()
    is_preset = settings_of(model, preset, fixed)
    order.sort(key=lambda place: found[place] != is_preset)  # a stable sort: the others stay as they were drawn
    return [found[place] for place in order[:count]]


def searched(settings: Sequence[Settings]) -> list[str]:
    """Names of the settings in which configurations differ."""
    return [name for name in vars(settings[0]) if len({getattr(one, name) for one in settings}) > 1]


def _chosen_grid(model: str, overrides: Mapping[str, object], grid: Grid | None) -> Grid:
    if grid:
        both = sorted(set(grid) & set(overrides))
        if both:
            raise RecipeError(f"{both[0]} is settled by --set and searched by --try", hint="leave one of them out")
        return grid
    if MODELS[model].task is None:
        raise RecipeError(
            f"{model} learns nothing by steps, so the paper's grid ({', '.join(PAPER_GRID)}) changes nothing about it",
            hint="name what to search, as --try ridge=10,100,1000 for ease or --try neighbours=100,1000 for itemknn",
        )
    return {name: values for name, values in PAPER_GRID.items() if name not in overrides}

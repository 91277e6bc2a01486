"""Sites we can read, found by the entry-point group `microlens.platforms`."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from microlens.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microlens.platforms.base import Platform


def platform_names() -> list[str]:
    return sorted(point.name for point in entry_points(group="microlens.platforms"))


def load_platform(name: str, options: Mapping[str, Any] | None = None) -> Platform:
    """Build the adapter called `name`; RecipeError names the nearest one if there is none.

    `options` are a recipe's `platform_options`: an adapter that takes any is given them as its one argument.
    """
    for point in entry_points(group="microlens.platforms"):
        if point.name == name:
            adapter = point.load()
            return cast("Platform", adapter(options) if options else adapter())
    names = platform_names()
    near = difflib.get_close_matches(name, names, n=1)
    raise RecipeError(
        f"platform {name!r} in the recipe is not known; installed platforms: {', '.join(names)}",
        hint=f"did you mean {near[0]!r}?" if near else "install the package that provides it, or correct the recipe",
    )

"""Sites we can read, found by the entry-point group `microlens.platforms`."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from microlens.errors import RecipeError
from microlens.platforms.base import is_asking
from microlens.platforms.instance_ids import InstanceIds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microlens.platforms.base import Platform
    from microlens.recipe import Recipe


def platform_names() -> list[str]:
    return sorted(point.name for point in entry_points(group="microlens.platforms"))


def platform_of(recipe: Recipe) -> Platform:
    """The adapter of a recipe; of several instances with ids of their own, the instance stands before every id."""
    platform = load_platform(recipe.platform, recipe.platform_options)
    if len(recipe.instances) > 1 and not is_asking(platform) and not getattr(platform, "has_global_ids", False):
        return InstanceIds(platform)
    return platform


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

"""The page on recipes is true."""

from pathlib import Path

import pytest

from microlens.recipe import load_recipe
from tests.docs.recipe_page import page

ROOT = Path(__file__).parents[2]


def test_the_page_lists_every_key():
    """docs/recipe.md is what the recipe's own fields say: write it again with `python -m tests.docs.recipe_page`."""
    assert page() == (ROOT / "docs" / "recipe.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_recipes_are_valid(path):
    """Every recipe in deploy/recipes can be used as it is."""
    assert load_recipe(path).name

"""A recipe that names a platform file: read once, kept in the recipe, guarded like all that decides what is crawled."""

import shutil
from pathlib import Path

import pytest
import yaml

from microlens.errors import RecipeError
from microlens.platforms import load_platform
from microlens.platforms.site_file import read_site
from microlens.recipe import load_recipe, parse_recipe
from microlens.runs import find_run, open_or_create

SANDBOX_FILE = Path(__file__).parent / "sandbox_site.yaml"
LEAST = {
    "name": "described",
    "platform": "selectors",
    "platform_file": "site.yaml",
    "instances": ["http://127.0.0.1:9"],
    "contact": "me@example.org",
}


@pytest.fixture
def recipe_file(tmp_path):
    """A recipe in a folder of its own, with its platform file beside it."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    shutil.copy(SANDBOX_FILE, folder / "site.yaml")
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(LEAST), encoding="utf-8")
    return path


def test_the_file_is_read_beside_the_recipe(recipe_file):
    """What the file says stands in the recipe, wherever the command was started."""
    assert read_site(SANDBOX_FILE) == load_recipe(recipe_file).platform_options


def test_a_recipe_keeps_what_the_file_said(recipe_file):
    """Without the file, the recipe's copy is loaded as it was, and makes the same adapter."""
    recipe = load_recipe(recipe_file)
    recipe_file.with_name("site.yaml").unlink()
    recipe_file.write_text(recipe.to_yaml(), encoding="utf-8")

    assert recipe == parse_recipe(recipe.to_yaml()) == load_recipe(recipe_file)
    assert "selectors" == load_platform(recipe.platform, recipe.platform_options).name


def test_a_run_needs_the_file_no_more(recipe_file, run_settings):
    """A run is opened, and its adapter made, after the file has gone."""
    run, _ = open_or_create(load_recipe(recipe_file), run_settings())
    run.ledger.close()
    recipe_file.with_name("site.yaml").unlink()
    again = find_run("described", run_settings())
    again.ledger.close()
    platform = load_platform(again.recipe.platform, again.recipe.platform_options)

    assert "http://127.0.0.1:9/?refresh=3" == platform.home_url("http://127.0.0.1:9", 3)


def test_a_moved_file_changes_nothing_and_another_one_is_refused(recipe_file, run_settings):
    """What the file says decides which dataset it is, not where it lies."""
    run, _ = open_or_create(load_recipe(recipe_file), run_settings())
    run.ledger.close()
    moved = recipe_file.with_name("site.yaml").rename(recipe_file.with_name("moved.yaml"))
    recipe_file.write_text(yaml.safe_dump({**LEAST, "platform_file": moved.name}), encoding="utf-8")
    taken, is_new = open_or_create(load_recipe(recipe_file), run_settings())
    taken.ledger.close()

    assert (False, "moved.yaml") == (is_new, taken.recipe.platform_file)
    moved.write_text(moved.read_text().replace("a.related", "a.other"))
    with pytest.raises(RecipeError, match="was changed in platform_options"):
        open_or_create(load_recipe(recipe_file), run_settings())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"platform_file": None}, "platform 'selectors' needs the key 'platform_file'"),
        ({"platform": "sandbox"}, "the key 'platform_file' is for platform 'selectors', not for 'sandbox'"),
        (
            {"platform": "sandbox", "platform_file": None, "platform_options": {"a": 1}},
            "the key 'platform_options' is for platform 'selectors'",
        ),
    ],
)
def test_file_and_platform_go_together(changes, words):
    """The platform that is described needs a description; no other has one."""
    with pytest.raises(RecipeError) as refused:
        parse_recipe(yaml.safe_dump({**LEAST, **changes}))

    assert words in refused.value.message


def test_a_mistake_in_the_file_is_found_before_the_run_is_made(recipe_file):
    """`load_recipe` names the file, the key and what was meant."""
    path = recipe_file.with_name("site.yaml")
    path.write_text(path.read_text().replace("links:", "link:", 1))

    with pytest.raises(RecipeError, match=r"site\.yaml cannot be used(.|\n)*'home\.link': did you mean 'links'"):
        load_recipe(recipe_file)
    path.unlink()
    with pytest.raises(RecipeError, match=r"site\.yaml cannot be read: No such file"):
        load_recipe(recipe_file)

"""Writes docs/recipe.md from the recipe's own fields: `python -m tests.docs.recipe_page > docs/recipe.md`."""

import sys
from typing import get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from microlens.recipe import Recipe

HEAD = """# The recipe

One YAML file describes one dataset. Every key, its default and what it means; the defaults are the paper's where it
names a number. Working recipes lie in `deploy/recipes/`. An unknown key is an error that names the nearest valid one.

A run takes a changed recipe over, unless the change would make another dataset of what is collected already (platform,
instances, seed, seeds, expansion, comments, media): then it asks for another `name`.
"""


def section_of(annotation):
    """The recipe section that an annotation holds, if it holds one."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def lines(model, path):
    rows, nested = [], []
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            nested.append((f"{path}{name}", section))
            continue
        default = "required" if field.default is PydanticUndefined else f"`{field.default!r}`"
        rows.append(f"| `{path}{name}` | {default} | {field.description or ''} |")
    if rows:
        yield from ("", "| key | default | what |", "| --- | --- | --- |", *rows)
    for name, section in nested:
        listed = "[]" if name.endswith("releases") else ""
        yield from ("", f"## {name}", "", *(section.__doc__ or "").strip().splitlines()[:1])
        yield from lines(section, f"{name}{listed}.")


def page():
    return HEAD + "\n".join(line.rstrip() for line in lines(Recipe, "")) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())

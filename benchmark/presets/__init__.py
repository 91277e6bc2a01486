"""Named settings, one YAML file per preset.

Its lines are `every_model` and models, each with fields of `benchmark.settings.Settings`, and `tried` and `search`,
which tell how they were chosen.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmark.settings import Settings
from microlens.errors import RecipeError
from microlens.spelling import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ABOUT_ALL_MODELS = ("every_model", "tried", "search")
"""Lines of a preset that are no model's: settings, how many configurations were tried, and how `tune` searched."""


def load_preset(
    name: str, model: str, overrides: Mapping[str, object] | None = None, *, own: Mapping[str, object] | None = None
) -> Settings:
    """Read what a preset says of every model, then what of this one, and lay `overrides` over it.

    `own` is what makes the model what it is, such as its loss: it holds unless the preset's line for this model, or an
    override, says otherwise. Text is read as the field's own type. RecipeError names what is not known.
    """
    preset = read_preset(name)
    values = preset["every_model"] | dict(own or {}) | preset.get(model, {}) | dict(overrides or {})
    types = {field.name: str(field.type) for field in fields(Settings)}
    for key in values:
        if key not in types:
            raise RecipeError(f"the benchmark has no setting {key!r}", hint=nearest(key, types))
    return Settings(**{key: _read(key, value, types[key]) for key, value in values.items()})


def read_preset(name: str) -> dict[str, Any]:
    """Read `presets/<name>.yaml`, or a file of the same form, such as `tune` writes, by its path.

    `every_model` and each model have settings by name; `tried` says of how many configurations a model's were chosen.
    """
    presets = {path.name.removesuffix(".yaml"): path for path in files("benchmark.presets").iterdir()}
    known = sorted(preset for preset in presets if not preset.startswith("_"))
    if name in known:
        text = presets[name].read_text(encoding="utf-8")
    elif is_file_name(name):
        text = _read_text(Path(name))
    else:
        raise RecipeError(f"there is no preset {name!r}", hint=f"{nearest(name, known)}, or a file that ends in .yaml")
    try:
        preset = _parsed(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"the preset {name} is no YAML: {error}", hint="mend it, or tune again") from error
    if not _is_preset(preset):
        raise RecipeError(
            f"the preset {name} does not have the form of one: `every_model` and models, each with settings by name",
            hint="name the tuned.yaml that `microlens-build tune` wrote, or write one like those in benchmark/presets/",
        )
    found: dict[str, Any] = preset
    return found


def configurations_tried(preset: str, model: str) -> int:
    """How many configurations were compared on validation to choose a model's settings; 0 where no search is told."""
    return int(read_preset(preset).get("tried", {}).get(model, 0))


def preset_facts(name: str) -> dict[str, str]:
    """What a result tells of its preset: of a file its name, without the folder, and its hash."""
    if not is_file_name(name):
        return {"preset": name}
    content = _read_text(Path(name)).encode()
    return {"preset": Path(name).name, "preset_sha256": hashlib.sha256(content).hexdigest()}


def is_file_name(preset: str) -> bool:
    return preset.endswith((".yaml", ".yml"))


def read_changes(changes: Iterable[str]) -> dict[str, str]:
    """Read `name=value` of a command line, for `load_preset` to lay over a preset."""
    pairs = [change.partition("=") for change in changes]
    names = [name.strip() for name, _, _ in pairs]
    for name, sign, value in pairs:
        if names.count(name.strip()) > 1:
            raise RecipeError(f"--set names {name.strip()} more than once", hint="give each setting one value")
        if not (name.strip() and sign):
            raise RecipeError(
                f"--set {name}{sign}{value} is not NAME=VALUE", hint="give a setting and its value, as width=128"
            )
    return {name: value for name, (_, _, value) in zip(names, pairs, strict=True)}


@cache
def _parsed(text: str) -> Any:
    """A search asks for the same preset hundreds of times."""
    return yaml.safe_load(text)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"the preset {path} cannot be read: {_reason(error)}",
            hint="name the tuned.yaml that `microlens-build tune` wrote",
        ) from error


def _is_preset(found: object) -> bool:
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        return False
    counts = found.get("tried", {}).values()
    return "every_model" in found and all(isinstance(count, int) and count >= 0 for count in counts)


def _read(key: str, value: object, kind: str) -> Any:
    """Take a YAML or command-line value as `kind`: YAML reads 1e-5 as text, and a command line reads all as text."""
    text = str(value).strip()
    switches = {"true": True, "false": False}
    try:
        if kind == "bool":
            return switches[text.lower()]
        return {"int": int, "float": float, "str": str}[kind](text)
    except (KeyError, ValueError) as error:
        wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise RecipeError(
            f"the benchmark setting {key!r} is {value!r}, which is not {wanted}",
            hint=f"give {key} a value such as {getattr(Settings, key)}",
        ) from error

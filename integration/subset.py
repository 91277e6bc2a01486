"""Draws users, and makes a release of them: the paper's MicroLens-100K and its kin.

Users are drawn uniformly by a seeded hash among those with enough interactions, so a smaller draw of the same seed
lies within every larger one; items that none of them commented on are left out.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from integration.comments import standing_comments
from integration.draw import Draw
from integration.engines import open_engine
from integration.integrated import add_integrated, add_interactions, pair_files
from integration.merge import comments_hashes, recipe_hash
from integration.release import Plan, build_release, finished_release, hash_of
from integration.sample import check_enough, check_left, sample
from integration.texts import add_texts, texts_hash
from integration.within import add_pairs_within, read_release
from microlens.errors import CorruptDataError, NotReadyError, RecipeError
from microlens.manifest import read_manifest
from microlens.recipe import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.release import BuiltRelease
    from integration.sampling_order import Arc
    from microlens.manifest import Manifest
    from microlens.runs import Run
    from microlens.settings import Settings

__all__ = ["Draw", "short_count", "subset"]


def subset(run: Run, settings: Settings, draw: Draw, on_step: Callable[[str], None] = lambda _: None) -> BuiltRelease:
    """Draw users and publish them; TooFewUsersError in strict mode if there are not enough.

    RecipeError for a pool without an item or a comment, and for a release to draw within that is not there.
    """
    _check_names(draw)
    with run.lock_tables():
        return _subset(run, settings, draw, on_step)


def _subset(run: Run, settings: Settings, draw: Draw, on_step: Callable[[str], None]) -> BuiltRelease:
    # Its files are checked where they are read: a draw of a few reads few.
    integrated = read_manifest(run.integrated, next_step=f"run `microlens-build integrate {run.run_id}` first")
    if integrated.recipe_sha256 != recipe_hash(run.recipe):
        raise NotReadyError(
            f"the recipe of {run.run_id!r} was changed after its tables were made",
            hint=f"run `microlens-build integrate {run.run_id}` first",
        )
    comments = standing_comments(run)
    hashes = comments_hashes(comments, run.ledger.parts("comments"))
    if run.refreshes.newest() is not None and not hashes.items() <= integrated.inputs.items():
        # Comments may have left since: their pairs would be published, though their texts are gone.
        raise NotReadyError(
            f"comments of {run.run_id!r} were read again after its tables were made",
            hint=f"run `microlens-build integrate {run.run_id}` first",
        )
    source = read_release(run, draw.within) if draw.within is not None else None
    inputs = _inputs(run, draw, integrated, source) | {"texts": texts_hash(run, comments)}
    known = finished_release(run, draw.name, inputs) if draw.name is not None else None
    if known is not None:
        return known
    work = run.folder / "tmp" / "subset"
    with open_engine(settings, run.folder / "tmp") as engine:
        shutil.rmtree(work, ignore_errors=True)
        add_integrated(engine, run.integrated, integrated)
        on_step("texts")
        add_texts(run, engine, comments)
        if draw.within is not None:
            add_interactions(engine, pair_files(run.integrated, integrated))
            add_pairs_within(run, engine, draw.within, work)

        def add_pairs(arc: Arc | None) -> None:
            if draw.within is None:
                add_interactions(engine, pair_files(run.integrated, integrated, arc))
            engine.add_view("drawn_from", f"SELECT * FROM {'interactions' if draw.within is None else 'pairs_within'}")

        drawn = sample(engine, draw, run.recipe.seed, work, on_step, add_pairs=add_pairs)
        check_enough(draw, drawn.users, run.run_id)
        users = engine.run("observed_users", work / "observed_users.parquet")
        check_left(draw, users)
        named = replace(draw, name=draw.name or _name_of_none(run, users, inputs["plan"]))
        _check_names(named)
        built = build_release(run, engine, Plan(named, drawn, integrated, inputs, work), on_step)
        shutil.rmtree(work, ignore_errors=True)
    return built


def _check_names(draw: Draw) -> None:
    if draw.name is not None and not re.fullmatch(NAME_PATTERN, draw.name):
        raise RecipeError(
            f"{draw.name!r} cannot be a release's name",
            hint="use letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        )
    if draw.within is not None and draw.within == draw.name:
        raise RecipeError(f"the release {draw.name!r} cannot be drawn from itself", hint="give another --name")


def _name_of_none(run: Run, users: int, plan: str) -> str:
    """By the run and the users that were drawn; RecipeError if a release that was drawn otherwise has it."""
    name = f"{run.run_id}-{short_count(users)}"
    try:
        known = read_manifest(run.release_folder(name), next_step="build the release")
    except (NotReadyError, CorruptDataError):
        return name
    if known.inputs.get("plan") != plan:
        raise RecipeError(
            f"the run {run.run_id!r} has a release {name!r} that was drawn in another way",
            hint="give this one a --name of its own",
        )
    return name


def _inputs(run: Run, draw: Draw, integrated: Manifest, source: Manifest | None) -> dict[str, str]:
    """What decides a release: the same again need not be built again."""
    told = {"integrated": hash_of(integrated), "plan": draw.text(), "recipe": run.recipe.sha256}
    return told | ({"within": hash_of(source)} if source is not None else {})


def short_count(count: int) -> str:
    """100000 -> 100K, 1000000 -> 1M, 2870 -> 2870: as the paper names its subsets."""
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if count >= size and count % size == 0:
            return f"{count // size}{letter}"
    return str(count)

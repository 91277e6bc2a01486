"""Draws users, and makes a release of them: the paper's MicroLens-100K and its kin.

Users are drawn uniformly by a seeded hash among those with enough interactions, so a smaller draw of the same seed
lies within every larger one; items that none of them commented on are left out.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from integration.comments import add_comments, standing_comments
from integration.draw import Draw
from integration.engines.duckdb import DuckEngine
from integration.integrated import add_integrated
from integration.merge import comments_hashes, read_integrated
from integration.release import Plan, build_release, finished_release, hash_of
from integration.sample import check_enough, check_left, sample
from integration.twins import add_comments_by_item, is_merging
from integration.within import add_pairs_within, read_release
from microlens.errors import NotReadyError, RecipeError
from microlens.recipe import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.release import BuiltRelease
    from microlens.manifest import Manifest
    from microlens.runs import Run
    from microlens.settings import Settings

__all__ = ["Draw", "short_count", "subset"]


def subset(run: Run, settings: Settings, draw: Draw, on_step: Callable[[str], None] = lambda _: None) -> BuiltRelease:
    """Draw users and publish them; TooFewUsersError in strict mode if there are not enough.

    RecipeError for a pool without an item or a comment, and for a release to draw within that is not there.
    """
    _check_names(draw)
    integrated = read_integrated(run)
    comments = standing_comments(run, run.refreshes.standings())
    hashes = comments_hashes(comments, run.ledger.parts("comments"))
    if run.refreshes.newest() is not None and not hashes.items() <= integrated.inputs.items():
        # Comments may have left since: their pairs would be published, though their texts are gone.
        raise NotReadyError(
            f"comments of {run.run_id!r} were read again after its tables were made",
            hint=f"run `microlens-build integrate {run.run_id}` first",
        )
    source = read_release(run, draw.within) if draw.within is not None else None
    inputs = _inputs(run, draw, integrated, source)
    known = finished_release(run, draw.name, inputs) if draw.name is not None else None
    if known is not None:
        return known
    work = run.folder / "tmp" / "subset"
    with run.lock_tables(), DuckEngine(settings, run.folder / "tmp") as engine:
        shutil.rmtree(work, ignore_errors=True)
        add_integrated(engine, run.integrated, integrated)
        (add_comments_by_item if is_merging(integrated) else add_comments)(engine, comments)
        if draw.within is not None:
            add_pairs_within(run, engine, draw.within, work)
        engine.add_view("drawn_from", f"SELECT * FROM {'interactions' if draw.within is None else 'pairs_within'}")
        drawn = sample(engine, draw, run.recipe.seed, work, on_step)
        check_enough(draw, drawn.users, run.run_id)
        users = engine.run("observed_users", work / "observed_users.parquet")
        check_left(draw, users)
        named = replace(draw, name=draw.name or f"{run.run_id}-{short_count(users)}")
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

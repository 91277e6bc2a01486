"""Draws users, and makes a release of them: the paper's MicroLens-100K and its kin.

Users are drawn uniformly by a seeded hash among those with enough interactions, so a smaller draw of the same seed
lies within every larger one; items that none of them commented on are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from integration.comments import add_comments, standing_comments
from integration.engines.duckdb import DuckEngine
from integration.integrated import add_integrated
from integration.merge import comments_hashes, read_integrated
from integration.release import ReleasePlan, build_release
from integration.twins import add_comments_by_item, is_merging
from microlens.errors import NotReadyError, RecipeError, TooFewUsersError
from microlens.recipe import NAME_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.release import BuiltRelease
    from microlens.recipe import Release
    from microlens.runs import Run
    from microlens.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Draw:
    """What a subset is asked for."""

    users: int | None = None
    """How many; None takes all that are eligible."""
    min_user: int = 5
    """Fewest interactions of an eligible user."""
    name: str | None = None
    """Of the release; None names it by the run and the users that it really has."""
    timestamps: str = "exact"
    is_strict: bool = False
    """Fail, rather than warn, if fewer users are eligible than asked for."""

    @classmethod
    def of(cls, release: Release) -> Draw:
        return cls(release.users, release.min_user, release.name, release.timestamps)


def subset(run: Run, settings: Settings, draw: Draw, on_step: Callable[[str], None] = lambda _: None) -> BuiltRelease:
    """Draw users and publish them; TooFewUsersError in strict mode if there are not enough."""
    if draw.name is not None and not re.fullmatch(NAME_PATTERN, draw.name):
        raise RecipeError(
            f"{draw.name!r} cannot be a release's name",
            hint="use letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        )
    integrated = read_integrated(run)
    comments = standing_comments(run, run.refreshes.standings())
    hashes = comments_hashes(comments, run.ledger.parts("comments"))
    if run.refreshes.newest() is not None and not hashes.items() <= integrated.inputs.items():
        # Comments may have left since: their pairs would be published, though their texts are gone.
        raise NotReadyError(
            f"comments of {run.run_id!r} were read again after its tables were made",
            hint=f"run `microlens-build integrate {run.run_id}` first",
        )
    with run.lock_tables(), DuckEngine(settings, run.folder / "tmp") as engine:
        add_integrated(engine, run.integrated, integrated)
        (add_comments_by_item if is_merging(integrated) else add_comments)(engine, comments)
        eligible = _count_eligible(engine, draw)
        taken = min(draw.users or eligible, eligible)
        _check(draw, eligible, run)
        plan = ReleasePlan(
            name=draw.name or f"{run.run_id}-{short_count(taken)}",
            users=taken,
            min_user=draw.min_user,
            timestamps=draw.timestamps,
        )
        return build_release(run, engine, plan, integrated, on_step)


def short_count(count: int) -> str:
    """100000 -> 100K, 1000000 -> 1M, 2870 -> 2870: as the paper names its subsets."""
    for size, letter in ((1_000_000, "M"), (1_000, "K")):
        if count >= size and count % size == 0:
            return f"{count // size}{letter}"
    return str(count)


def _count_eligible(engine: DuckEngine, draw: Draw) -> int:
    table = engine.query(f"SELECT count(*) AS n FROM users WHERE interaction_count >= {draw.min_user:d}")
    return int(table["n"][0].as_py())


def _check(draw: Draw, eligible: int, run: Run) -> None:
    if draw.users is None or draw.users <= eligible:
        return
    message = (
        f"{draw.users} users were asked for; the run {run.run_id!r} has {eligible} "
        f"with at least {draw.min_user} interactions"
    )
    if draw.is_strict:
        raise TooFewUsersError(message, hint="ask for fewer, lower --min-user, or crawl more videos")
    log.warning("fewer_users", asked=draw.users, eligible=eligible, min_user=draw.min_user)

"""Who is drawn, and what of theirs is published: pool, users, their pairs, core.

Users are looked at in the sampling order, no further than it takes to find enough: of a billion interactions only
those of the candidates are counted in a pool, and only those of the users drawn are sorted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from integration.sampling_order import Arc, hash_bound
from microlens.errors import RecipeError, TooFewUsersError
from microlens.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from integration.draw import Draw
    from integration.engines import Engine

_NEVER = 2**62
_ALL = 2**31 - 1
"""The most that LIMIT takes in every engine."""
_FIRST_REACH = 4
"""Candidates looked at for each user wanted, where a pool decides which of them are eligible."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn; its pairs are readable as the engine's table `pairs`."""

    pool_items: int | None
    """Items that users were drawn for; None: all."""
    users: int
    """Drawn, before the core was taken."""
    pairs: int
    """Of the users drawn, before the core was taken."""


def sample(
    engine: Engine,
    draw: Draw,
    seed: int,
    work: Path,
    on_step: Callable[[str], None],
    *,
    add_pairs: Callable[[Arc | None], None],
) -> Sample:
    """Draw users, and take their pairs; the tables that this makes lie in `work`.

    The engine has the tables items, snapshots and users. `add_pairs` makes readable as `drawn_from` the pairs that may
    be drawn: at least those of users whose keys lie in the arc that it is given; without one, all.
    RecipeError if no item, or no comment, is left to draw for.
    """
    cutoff_ms = draw.cutoff_ms if draw.cutoff_ms is not None else _NEVER
    on_step("pool")
    pool_items = _make_pool(engine, draw, cutoff_ms, work)
    on_step("users")
    users = _draw_users(engine, draw, seed, cutoff_ms, work=work, add_pairs=add_pairs)
    if users == 0 and draw.cutoff is not None:
        add_pairs(None)
        _check_cutoff(engine, draw, cutoff_ms)
    on_step("pairs")
    pairs = engine.run("sampled_pairs", work / "sampled_pairs.parquet", {"cutoff_ms": cutoff_ms})
    engine.add_view("pairs", "SELECT * FROM sampled_pairs")
    if draw.core is not None:
        on_step("core")
        keep_core(engine, *draw.core, rows=pairs, work=work)
    return Sample(pool_items, users, pairs)


def keep_core(engine: Engine, min_user: int, min_item: int, *, rows: int, work: Path) -> int:
    """Leave in `pairs` the largest part in which users and items have so many each; gives its rows.

    There is one such part, in whatever order the others are dropped (Seidman, Social Networks 5, 1983).
    """
    for number in range(rows + 1):
        left = engine.run("core_pairs", work / f"core-{number}.parquet", {"min_user": min_user, "min_item": min_item})
        engine.add_view("pairs", "SELECT * FROM core_pairs")
        if number > 0:
            (work / f"core-{number - 1}.parquet").unlink()
        if left == rows:
            break
        rows = left
    return rows


def check_enough(draw: Draw, eligible: int, run_id: str) -> None:
    """Warn if fewer users were drawn than asked for, or none at all; in strict mode TooFewUsersError."""
    if eligible >= (draw.users or 1):
        return
    at_most = f" and at most {draw.max_user}" if draw.max_user is not None else ""
    where = " within the pool" if draw.is_of_a_pool else ""
    message = (
        f"{draw.users or 'all'} users were asked for; the run {run_id!r} has {eligible or 'none'} "
        f"with at least {draw.min_user}{at_most} interactions{where}"
    )
    if draw.is_strict:
        raise TooFewUsersError(message, hint="ask for fewer, lower --min-user, widen the pool, or crawl more videos")
    log.warning("fewer_users", asked=draw.users, eligible=eligible, min_user=draw.min_user)


def check_left(draw: Draw, users: int) -> None:
    """The same for a core that has nobody in it."""
    if users > 0 or draw.core is None:
        return
    if draw.is_strict:
        raise TooFewUsersError(
            f"no user is left in which users have {draw.core[0]} interactions and items {draw.core[1]}",
            hint="lower --k-core or --min-item, or draw more users",
        )
    log.warning("empty_core", min_user=draw.core[0], min_item=draw.core[1])


def _make_pool(engine: Engine, draw: Draw, cutoff_ms: int, work: Path) -> int | None:
    if draw.stage is None and draw.min_likes is None and draw.pool is None:
        engine.add_view("pool_items", "SELECT video_id FROM items")
        return None
    rules = {"stage": draw.stage or "any", "min_likes": draw.min_likes or 0, "pool": min(draw.pool or _ALL, _ALL)}
    found = engine.run("pool_items", work / "pool_items.parquet", {**rules, "cutoff_ms": cutoff_ms})
    if found == 0 and _count(engine, "SELECT count(*) AS n FROM items") > 0:
        asked = " ".join(f"{name} {value}" for name, value in draw.rules() if name in {"--stage", "--min-likes"})
        raise RecipeError(f"no item has {asked}", hint="lower --min-likes, or leave --stage out")
    if draw.pool is not None and found < draw.pool:
        log.warning("fewer_items", asked=draw.pool, found=found)
    return found


def _draw_users(
    engine: Engine, draw: Draw, seed: int, cutoff_ms: int, *, work: Path, add_pairs: Callable[[Arc | None], None]
) -> int:
    """Make `sampled_users`, and their pairs readable; gives how many there are.

    The first so many in the sampling order are the same however far one looks, as long as they are found.
    """
    order = {"seed": draw.seed if draw.seed is not None else seed, "is_reseeded": draw.seed not in {None, seed}}
    floor = {"min_user": draw.min_user}
    known = _count(engine, f"SELECT count(*) AS n FROM users WHERE interaction_count >= {draw.min_user:d}")
    wanted = min(draw.users or known, known)
    reach = wanted * (_FIRST_REACH if draw.is_of_a_pool or draw.max_user is not None else 1)
    while True:
        share = _share(reach, known)
        arc = Arc.of(seed, share)
        bound = hash_bound(share) if order["is_reseeded"] else arc.bound
        add_pairs(None if order["is_reseeded"] else arc)
        engine.run("candidates", work / "candidates.parquet", {**order, **floor, "bound": bound})
        if draw.is_of_a_pool:
            engine.run("pool_users", work / "pool_users.parquet", {"cutoff_ms": cutoff_ms})
        else:
            engine.add_view("pool_users", "SELECT * FROM candidates")
        limits = {**floor, "max_user": min(draw.max_user or _ALL, _ALL), "users": wanted}
        found = engine.run("sampled_users", work / "sampled_users.parquet", limits)
        if found == wanted or share >= 1:
            return found
        reach = max(_FIRST_REACH * reach, math.ceil(reach * wanted / max(found, 1)))


def _share(reach: int, known: int) -> float:
    """The share of keys, or hashes, among which nearly surely `reach` of `known` users are: they lie evenly."""
    return (reach + 6 * math.sqrt(reach)) / max(known, 1)


def _check_cutoff(engine: Engine, draw: Draw, cutoff_ms: int) -> None:
    first = engine.query("SELECT min(commented_at_ms) AS at FROM drawn_from")["at"][0].as_py()
    if first is not None and cutoff_ms <= first:
        raise RecipeError(
            f"the cutoff {draw.cutoff:%Y-%m-%d %H:%M} lies before the first comment "
            f"({datetime.fromtimestamp(first / 1000, UTC):%Y-%m-%d %H:%M}, UTC)",
            hint="give a later --cutoff",
        )


def _count(engine: Engine, sql: str) -> int:
    return int(engine.query(sql)["n"][0].as_py())

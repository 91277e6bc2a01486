"""What a cluster's processes wait for, so that they may be started in any order: a run, and all of it collected."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from microlens.backlog import NODE_KINDS
from microlens.cli.reporter import crawl_facts, work_facts
from microlens.errors import NotReadyError
from microlens.recipe import load_recipe
from microlens.runs import find_run, is_made, join_run, open_or_create

if TYPE_CHECKING:
    from collections.abc import Callable

    from microlens.cli.reporter import Reporter
    from microlens.frontier import Frontier
    from microlens.runs import Run
    from microlens.settings import Settings

T = TypeVar("T")

_LOOK_EVERY_S = 1.0
_LONGEST_PAUSE_S = 60.0


def await_run(target: Path | None, settings: Settings, reporter: Reporter) -> Run:
    """Open the run that a recipe's file, a name or a folder means (any, if None), as soon as somebody has made it.

    One that was made on another machine is joined, where this one holds its key. A recipe that was changed is taken
    over, whoever reads it first.
    """
    recipe = load_recipe(target) if target is not None and target.is_file() else None
    name = recipe.name if recipe is not None else str(target) if target is not None else None
    while not is_made(name, settings) and not (name is not None and join_run(Path(name).name, settings)):
        reporter.tick("wait", lambda: {"for": f"the run {name or 'that is made first'} to be begun by a collector"})
        time.sleep(_LOOK_EVERY_S)
    return find_run(name, settings) if recipe is None else open_or_create(recipe, settings)[0]


def when_collected(run: Run, frontier: Frontier | None, take: Callable[[], T], reporter: Reporter) -> T:
    """Do something with the run as soon as nothing of it is left to be found or fetched.

    The frontier, if there is one to ask, tells cheaply whether it is worth trying; `take` looks at everything, and
    raises NotReadyError while something is missing.
    """
    pause_s = _LOOK_EVERY_S
    while True:
        if _seems_collected(run, frontier):
            try:
                return take()
            except NotReadyError as early:
                reporter.tick("wait", partial(dict, because=early.message))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        else:
            reporter.tick("wait", lambda: _facts(run, frontier))
            pause_s = _LOOK_EVERY_S
        time.sleep(pause_s)


def _seems_collected(run: Run, frontier: Frontier | None) -> bool:
    if not run.ledger.is_stage_finished("crawl") or run.refreshes.open_one() is not None:
        return False
    if run.fresh_links.counts()["files"]:
        return False
    return frontier is None or frontier.open_count(NODE_KINDS) == 0


def _facts(run: Run, frontier: Frontier | None) -> dict[str, Any]:
    facts = crawl_facts(run)
    return facts if frontier is None else facts | work_facts(run, frontier.open_count(NODE_KINDS))

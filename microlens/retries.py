"""Giving up is not for ever: failures whose cause may have passed are opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.backlog import media_names, visit_item
from microlens.outcomes import PASSING

if TYPE_CHECKING:
    from collections.abc import Collection

    from microlens.frontier import Frontier
    from microlens.runs import Run


def reopen(run: Run, frontier: Frontier, reasons: Collection[str] = PASSING) -> int:
    """Take back final failures of these reasons, so that whoever pushes them again has them tried; gives how many.

    A page that is tried again may bring new seeds, so the crawl counts as unfinished until it has been.
    """
    items = run.ledger.reopen_failures(reasons)
    frontier.forget(each for item in items for each in media_names(item))
    frontier.forget(run.fresh_links.take_back(reasons))
    if any(item.kind == "page" for item in items):
        run.ledger.reopen_stage("crawl")
    return len(items) + reopen_visits(run, frontier, reasons)


def reopen_visits(run: Run, frontier: Frontier, reasons: Collection[str] = PASSING) -> int:
    """Take back what the open refresh could not read for these reasons; gives how many.

    A finished refresh stays as it is: the next one reads those videos again in any case.
    """
    opened = run.refreshes.open_one()
    if opened is None:
        return 0
    visits = run.refreshes.take_back(opened.number, reasons)
    frontier.forget(visit_item(visit.video_id, visit.url, opened.number) for visit in visits)
    return len(visits)

"""Giving up is not for ever: failures whose cause may have passed are opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microlens.outcomes import PASSING

if TYPE_CHECKING:
    from collections.abc import Collection

    from microlens.frontier import Frontier
    from microlens.runs import Run


def reopen(run: Run, frontier: Frontier, reasons: Collection[str] = PASSING) -> int:
    """Take back final failures of these reasons, so that whoever starts next tries again; gives how many.

    A page that is tried again may bring new seeds, so the crawl counts as unfinished until it has been.
    """
    items = run.ledger.reopen_failures(reasons)
    frontier.forget(items)
    if any(item.kind == "page" for item in items):
        run.ledger.reopen_stage("crawl")
    return len(items)

"""Work that stands in a frontier again: what was given up (`retry`), and what was lost with its Redis (`recover`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from microlens.embedded import redis_server, running_server
from microlens.errors import NotReadyError, RecipeError
from microlens.frontier import Frontier
from microlens.outcomes import PASSING, POLICIES
from microlens.retries import reopen

if TYPE_CHECKING:
    from collections.abc import Collection

    from microlens.runs import Run
    from microlens.settings import Settings


@dataclass(frozen=True, slots=True)
class Retried:
    opened: int
    """Failures that are open again."""
    is_pushed: bool
    """They stand in the frontier of a Redis that is there; else they do so when the run goes on."""


def retry(run: Run, settings: Settings, reasons: Collection[str]) -> Retried:
    """Open final failures again, and push them to the frontier where there is one: nodes at work have them then."""
    unknown = sorted(set(reasons) - POLICIES.keys())
    if unknown:
        raise RecipeError(
            f"failures of {', '.join(unknown)} cannot be tried again", hint=f"choose of {', '.join(sorted(POLICIES))}"
        )
    url = settings.redis_url or running_server(run.folder / "redis.lock")
    with redis_server(url) as redis_url:
        frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        opened = reopen(run, frontier, reasons or PASSING)
        if url is not None:
            _push_wanted(run, frontier)
    return Retried(opened, is_pushed=url is not None)


def recover(run: Run, settings: Settings) -> dict[str, int]:
    """Forget the run's frontier and push whatever the ledger still wants; gives how much that is."""
    from download_nodes.backlog import forget_lost
    from microlens.platforms import platform_of

    if settings.redis_url is None:
        raise NotReadyError(
            "there is no Redis to recover: the embedded one is filled from the ledger whenever it starts",
            hint="just run the same command again; with a Redis of your own, set MICROLENS_REDIS_URL",
        )
    with redis_server(settings.redis_url) as redis_url:
        frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        frontier.clear()
        _push_wanted(run, frontier)
        forget_lost(run, frontier, platform_of(run.recipe))
        return {kind: frontier.open_count([kind]) for kind in ("page", "visit", "links", "media", "comments")}


def _push_wanted(run: Run, frontier: Frontier) -> None:
    """Push whatever the ledger still wants, of collectors and nodes; what stands there already stays as it is."""
    from crawler.refresh import restore_refresh
    from crawler.run import restore_frontier, restore_links
    from download_nodes.refill import refill
    from microlens.platforms import platform_of

    if not run.ledger.is_stage_finished("crawl"):
        restore_frontier(run, frontier)
    restore_refresh(run, frontier)
    restore_links(run, frontier)
    refill(run, frontier, platform_of(run.recipe))

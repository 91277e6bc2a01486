"""`crawl RUN --since WHEN`: the refresh of known videos, begun or gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from download_nodes.backlog import outstanding
from microlens.cli.when import moment_text
from microlens.embedded import redis_server
from microlens.errors import NotReadyError
from microlens.frontier import Frontier
from microlens.platforms import platform_of
from microlens.recipe import load_recipe
from microlens.retries import reopen_visits
from microlens.runs import find_run, mark_used

if TYPE_CHECKING:
    from microlens.cli.reporter import Reporter
    from microlens.refreshes import Refresh
    from microlens.runs import Run
    from microlens.settings import Settings


def named_run(target: Path | None, settings: Settings) -> Run:
    """The run that a recipe's file, a name or a folder means; the one used last if nothing is given."""
    if target is None:
        return find_run(None, settings)
    return find_run(load_recipe(target).name if target.is_file() else str(target), settings)


def recrawl(run: Run, settings: Settings, *, since_ms: int, limit: int | None, reporter: Reporter) -> None:
    """Read known videos again that were last read before a moment; an open refresh goes on with its own moment.

    NotReadyError while the first crawl is not finished: it reads its pages itself; and while comments of the last
    refresh are to be read.
    """
    from crawler.refresh import refresh

    mark_used(run)
    _check_crawled(run)
    before = run.refreshes.open_one()
    if before is None:
        _check_taken_in(run)
    opened = run.refreshes.begin(since_ms)
    if opened is None:
        reporter.note(f"no known video was last read before {moment_text(since_ms)}: nothing to do")
        return
    if before is not None:
        reporter.note(
            f"refresh {opened.number}, begun {moment_text(opened.started_at_ms)}, goes on: "
            f"videos last read before {moment_text(opened.since_ms)}"
        )
    with redis_server(settings.redis_url, lock=run.folder / "redis.lock") as redis_url:
        frontier = Frontier.connect(redis_url, run.shared_name, run.recipe.politeness)
        reopen_visits(run, frontier)
        due = _left(run, opened)

        def facts() -> dict[str, Any]:
            left = frontier.open_count(["visit"])
            return {"done": max(0, due - left), "left": left}

        refresh(run, redis_url, limit=limit, on_tick=lambda: reporter.tick("refresh", facts))
    left = _left(run, opened)
    reporter.done("refresh", {"number": opened.number, "read": due - left, "left": left})
    reporter.note(
        "the refresh is not finished: run the same command again to go on"
        if left
        else "run `microlens-build work` and `integrate` to take it in"
    )


def tell_due(run: Run, since_ms: int) -> str:
    """What a refresh would read, in one line; nothing is asked of the site."""
    _check_crawled(run)
    opened = run.refreshes.open_one()
    if opened is not None:
        return f"refresh {opened.number} is open; {_left(run, opened):,} videos are still to be read"
    return f"{run.refreshes.count_due(since_ms):,} videos were last read before {moment_text(since_ms)}"


def refresh_status(run: Run) -> dict[str, Any] | None:
    """The newest refresh as `status` tells it; None if there never was one."""
    newest = run.refreshes.newest()
    if newest is None:
        return None
    return {
        "number": newest.number,
        "since": moment_text(newest.since_ms),
        "started_at": moment_text(newest.started_at_ms),
        "finished_at": moment_text(newest.finished_at_ms) if newest.finished_at_ms is not None else None,
        "left": _left(run, newest) if newest.is_open else 0,
    }


def _left(run: Run, refresh: Refresh) -> int:
    return run.refreshes.count_due(refresh.since_ms, number=refresh.number)


def _check_taken_in(run: Run) -> None:
    """Comments of two refreshes at once would both build upon the reading before them."""
    wanted = outstanding(run, platform_of(run.recipe))
    waiting = sum(item.kind == "comments" and item.payload["refresh"] > 0 for item in wanted)
    if waiting:
        raise NotReadyError(
            f"the comments of {waiting:,} videos of the last refresh are still to be read",
            hint=f"run `microlens-build work {run.run_id}` first",
        )


def _check_crawled(run: Run) -> None:
    if not run.ledger.is_stage_finished("crawl"):
        raise NotReadyError(
            f"the first crawl of {run.run_id!r} is not finished, so there is nothing to refresh yet",
            hint=f"finish it with `microlens-build crawl {run.folder / 'recipe.yaml'}`",
        )

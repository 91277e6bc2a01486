"""The stages in their order. Only the command line knows more than one of them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlens.cli.collector import Collector, wants_pages
from microlens.cli.failure_note import note_failures
from microlens.cli.ranking import rank_release
from microlens.cli.recrawl import named_run
from microlens.cli.reporter import crawl_facts, work_facts
from microlens.cli.waiting import await_run, when_collected
from microlens.embedded import redis_server
from microlens.frontier import Frontier
from microlens.recipe import Recipe
from microlens.retries import reopen
from microlens.runs import mark_used, open_or_create

if TYPE_CHECKING:
    from microlens.cli.reporter import Reporter
    from microlens.ledger_rows import PageRow
    from microlens.manifest import Manifest
    from microlens.runs import Run
    from microlens.settings import Settings


@dataclass(frozen=True, slots=True)
class RunResult:
    """What `run` and `demo` report."""

    run: str
    funnel: dict[str, Any]
    releases: list[dict[str, Any]]
    """name, path, counts, and the leaderboard's rows."""
    did_anything: bool
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The first release stands at the top as well: most recipes have no other."""
        first = self.releases[0] if self.releases else {"path": None, "counts": {}, "leaderboard": []}
        top = {"release": first["path"], "counts": first["counts"], "leaderboard": first["leaderboard"]}
        return {"run": self.run, "funnel": self.funnel, **top, **asdict(self)}


def run_recipe(recipe: Recipe, settings: Settings, *, processes: int, reporter: Reporter) -> RunResult:
    """Crawl and download side by side, then integrate, publish and rank; what is done already is not done again."""
    from integration.merge import integrate
    from microlens.cli.pulling import pull_kept

    began = time.monotonic()
    run, _ = open_or_create(recipe, settings)
    mark_used(run)
    did_collect = _collect(run, settings, processes=processes, reporter=reporter)
    pull_kept(run, settings, reporter)
    manifest, did_integrate = integrate(run, settings, lambda step: reporter.tick("integrate", lambda: {"step": step}))
    releases, did_publish = _publish(run, settings, reporter, is_ranking=True)
    return RunResult(
        run=run.run_id,
        funnel=manifest.counters,
        releases=releases,
        did_anything=did_collect or did_integrate or did_publish,
        seconds=round(time.monotonic() - began, 1),
    )


def _collect(run: Run, settings: Settings, *, processes: int, reporter: Reporter) -> bool:
    """Crawl in one child process, download in others, at the same time; False if nothing was left to do."""
    from download_nodes.backlog import is_anything_left
    from download_nodes.supervise import work
    from microlens.platforms import platform_of

    if not wants_pages(run) and not is_anything_left(run, platform_of(run.recipe)):
        return False
    with redis_server(settings.redis_url, lock=run.folder / "redis.lock") as redis_url:
        # The run goes on where it stopped, perhaps for a cause that has passed.
        reopen(run, Frontier.connect(redis_url, run.shared_name, run.recipe.politeness))
        collector = Collector(run, redis_url)
        try:
            collector.is_done()  # starts it: there are pages to be read before there are files
            work(
                run,
                redis_url,
                processes=processes,
                is_crawl_done=collector.is_done,
                on_tick=lambda left: reporter.tick("collect", lambda: crawl_facts(run) | work_facts(run, left)),
            )
        finally:
            collector.stop()
    reporter.done("collect", crawl_facts(run) | work_facts(run, 0))
    note_failures(run, settings, reporter, of_pages=True, of_files=True)
    return True


def publish_run(
    target: Path | None, settings: Settings, *, is_waiting: bool, is_ranking: bool, reporter: Reporter
) -> RunResult:
    """Integrate and publish a run that others collect; NotReadyError if that is not finished and not waited for."""
    from integration.merge import integrate
    from microlens.cli.pulling import pull_kept

    began = time.monotonic()
    run = await_run(target, settings, reporter) if is_waiting else named_run(target, settings)
    mark_used(run)

    def take() -> tuple[Manifest, bool]:
        pull_kept(run, settings, reporter)
        return integrate(run, settings, lambda step: reporter.tick("integrate", lambda: {"step": step}))

    if is_waiting:
        url = settings.redis_url
        frontier = Frontier.connect(url, run.shared_name, run.recipe.politeness) if url is not None else None
        manifest, did_integrate = when_collected(run, frontier, take, reporter)
    else:
        manifest, did_integrate = take()
    releases, did_publish = _publish(run, settings, reporter, is_ranking=is_ranking)
    return RunResult(
        run=run.run_id,
        funnel=manifest.counters,
        releases=releases,
        did_anything=did_integrate or did_publish,
        seconds=round(time.monotonic() - began, 1),
    )


def _publish(
    run: Run, settings: Settings, reporter: Reporter, *, is_ranking: bool
) -> tuple[list[dict[str, Any]], bool]:
    from integration.subset import Draw, subset

    published, did_anything = [], False
    for release in run.recipe.releases:
        built = subset(run, settings, Draw.of(release), lambda step: reporter.tick("release", lambda: {"step": step}))
        rows, did_rank = rank_release(run, built.name, built.path, reporter) if is_ranking else ([], False)
        did_anything = did_anything or built.is_new or did_rank
        published.append({"name": built.name, "path": str(built.path), "counts": built.counts, "leaderboard": rows})
    return published, did_anything


def crawl_alone(
    recipe: Recipe,
    settings: Settings,
    *,
    limit: int | None,
    is_dry_run: bool,
    is_forever: bool = False,
    reporter: Reporter,
) -> list[PageRow]:
    """Crawl in this process; gives the pages that were read, if the run is to be thrown away."""
    from crawler.run import crawl

    with contextlib.ExitStack() as stack:
        if is_dry_run:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="microlens-dry-run-"))
            settings = settings.model_copy(
                update={"runs_dir": Path(folder), "redis_url": None, "database_url": None, "parts_url": None}
            )
        run, _ = open_or_create(recipe, settings)
        mark_used(run)
        redis_url = stack.enter_context(redis_server(settings.redis_url, lock=run.folder / "redis.lock"))
        if not run.ledger.is_stage_finished("crawl"):
            reopen(run, Frontier.connect(redis_url, run.shared_name, run.recipe.politeness))
        on_tick = partial(reporter.tick, "crawl", lambda: crawl_facts(run))
        crawl(run, redis_url, limit=limit, is_forever=is_forever, on_tick=on_tick)
        reporter.done("crawl", crawl_facts(run))
        if not is_dry_run:
            note_failures(run, settings, reporter, of_pages=True, of_files=False)
        if not run.ledger.is_stage_finished("crawl"):
            reporter.note("the crawl is not finished: run the same command again to go on")
        return run.ledger.pages() if is_dry_run else []

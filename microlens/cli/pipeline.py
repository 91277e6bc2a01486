"""The stages in their order. Only the command line knows more than one of them."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlens import __version__
from microlens.children import start_child, stop_child
from microlens.cli.collector import Collector, wants_pages
from microlens.cli.failure_note import note_failures
from microlens.cli.output import crawl_facts, work_facts
from microlens.cli.recrawl import named_run, refresh_status
from microlens.cli.waiting import await_run, when_collected
from microlens.embedded import redis_server, running_server
from microlens.errors import NotReadyError, RecipeError, SiteUnreachableError
from microlens.frontier import Frontier
from microlens.manifest import MANIFEST_NAME, read_manifest
from microlens.outcomes import PASSING, POLICIES
from microlens.recipe import Recipe
from microlens.retries import reopen
from microlens.runs import find_run, mark_used, open_or_create
from microlens.store import sha256_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from microlens.cli.output import Reporter
    from microlens.ledger_rows import PageRow
    from microlens.manifest import Manifest
    from microlens.runs import Run
    from microlens.settings import Settings

_SITE_START_S = 120.0
DEMO_SEED_SHARE = 0.4


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
        rows, did_rank = _rank(run, built.name, built.path, reporter) if is_ranking else ([], False)
        did_anything = did_anything or built.is_new or did_rank
        published.append({"name": built.name, "path": str(built.path), "counts": built.counts, "leaderboard": rows})
    return published, did_anything


def _rank(run: Run, name: str, release: Path, reporter: Reporter) -> tuple[list[dict[str, Any]], bool]:
    """Rank the recipe's models on a release, unless the same was done before."""
    plan, out = run.recipe.benchmark, run.results_folder(name)
    if not plan.models:
        return [], False
    known = _known_board(out / "leaderboard.json")
    same = {
        "models": sorted(plan.models),
        "preset": plan.preset,
        "seeds": [plan.seed],
        "manifest": sha256_of(release / MANIFEST_NAME),
        "code": __version__,
    }
    if known is not None and same == known[0]:
        return known[1], False
    from benchmark.run import run_benchmark

    board = run_benchmark(
        release, plan.models, preset=plan.preset, seeds=(plan.seed,), out=out, progress=reporter.training
    )
    return board.rows, True


def _known_board(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """What a leaderboard that is there already was asked for, and its rows."""
    if not path.exists():
        return None
    board = json.loads(path.read_text(encoding="utf-8"))
    asked = {name: board["settings"].get(name) for name in ("preset", "seeds")}
    models = sorted(row["model"] for row in board["rows"])
    asked["code"] = board["code_version"]
    return {"models": models, "manifest": board["manifest_sha256"], **asked}, board["rows"]


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


def newest_release(settings: Settings) -> Path:
    """The release that was finished last in the run used last."""
    run = find_run(None, settings)
    finished = sorted(run.folder.glob(f"releases/*/{MANIFEST_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    if not finished:
        raise NotReadyError(f"the run {run.run_id!r} has no release yet", hint="run `microlens-build subset` first")
    return finished[-1].parent


def results_beside(release: Path) -> Path:
    """Where a release's leaderboards go: in its run, or in this folder for a release that lies elsewhere."""
    release = release.resolve()
    home = release.parent.parent if release.parent.name == "releases" else Path.cwd()
    return home / "results" / release.name


def status_of(run: Run) -> dict[str, Any]:
    """How far a run is, in numbers that the ledger and the manifests give."""
    integrated = run.integrated / MANIFEST_NAME
    return {
        "run": run.run_id,
        "folder": str(run.folder),
        "platform": run.recipe.platform,
        "crawl_finished": run.ledger.is_stage_finished("crawl"),
        "refresh": refresh_status(run),
        "progress": run.ledger.progress(),
        "links": run.fresh_links.counts(),
        "failures": run.ledger.failure_counts(),
        "given_up": run.ledger.given_up(),
        "robots": run.ledger.hosts.robots_counts(),
        "parked": [asdict(parking) for parking in run.ledger.hosts.parked()],
        "samples": [str(path) for path in sorted((run.folder / "samples").glob("*-*.*"))],
        "funnel": read_manifest(run.integrated, next_step="").counters if integrated.exists() else None,
        "releases": [
            {"name": path.parent.name, "path": str(path.parent), **read_manifest(path.parent, next_step="").counters}
            for path in sorted(run.folder.glob(f"releases/*/{MANIFEST_NAME}"))
        ],
    }


# --- the demo's site ---


def demo_recipe(*, videos: int, users: int, seed: int, port: int) -> Recipe:
    """The paper's recipe, made small enough for the sandbox site."""
    usual = (videos, users, seed, port) == (300, 4000, 7, 8765)
    return Recipe.model_validate(
        {
            "name": "demo" if usual else f"demo-{videos}-{users}-{seed}-{port}",
            "platform": "sandbox",
            "instances": [f"http://127.0.0.1:{port}"],
            "contact": "demo@example.org",
            "seed": seed,
            "seeds": {"target": max(1, int(DEMO_SEED_SHARE * videos)), "max_stale_refreshes": 5},
            "releases": [{"name": "demo"}],
            # Our own site on our own machine: it need not be spared.
            "politeness": {"requests_per_second": 2000, "concurrency": 64},
            "network": {"allow": ["127.0.0.0/8"]},
        }
    )


@contextlib.contextmanager
def sandbox_site(*, videos: int, users: int, seed: int, port: int, reporter: Reporter) -> Iterator[None]:
    """Run `python -m sandbox` for the length of the block."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SiteUnreachableError(
                f"the sandbox cannot listen on 127.0.0.1:{port}: {error.strerror}",
                hint="stop what uses the port, or choose another with --port",
            ) from error
    arguments = [sys.executable, "-m", "sandbox", "--frozen", "--videos", str(videos), "--users", str(users)]
    arguments += ["--seed", str(seed), "--port", str(port)]
    site = start_child(arguments, stdout=subprocess.DEVNULL)
    try:
        _wait_for_site(site, port, reporter)
        yield
    finally:
        site.send_signal(signal.SIGTERM)
        stop_child(site)


def _wait_for_site(site: subprocess.Popen[bytes], port: int, reporter: Reporter) -> None:
    deadline = time.monotonic() + _SITE_START_S
    while time.monotonic() < deadline and site.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        reporter.tick("sandbox", lambda: {"starting on port": str(port)})
        time.sleep(0.05)
    raise SiteUnreachableError(
        f"the sandbox did not start on port {port} (exit code {site.returncode})",
        hint=f"run `python -m sandbox --port {port}` to see why",
    )

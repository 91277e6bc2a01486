"""How far a run is: what `status` asks of ledger and manifests, and how it tells it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from microlens.cli.output import print_funnel, print_json
from microlens.cli.recrawl import refresh_status
from microlens.cli.reporter import facts_line
from microlens.cli.when import clock_text
from microlens.manifest import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microlens.runs import Run


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


def print_status(status: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    sys.stdout.write(f"run        {status['run']} ({status['platform']}) in {status['folder']}\n")
    sys.stdout.write(f"crawl      {'finished' if status['crawl_finished'] else 'not finished'}\n")
    if status.get("refresh"):
        sys.stdout.write(f"refresh    {_refresh_line(status['refresh'])}\n")
    sys.stdout.write(f"progress   {facts_line(status['progress'])}\n")
    if "nodes" in status:
        print_nodes(status, as_json=False)
    if status["links"]["files"]:
        sys.stdout.write(f"links      {_links_line(status['links'])}\n")
    sys.stdout.write(f"failures   {facts_line(status['failures']) or 'none'}\n")
    if status["given_up"]:
        sys.stdout.write(f"given up   {facts_line(status['given_up'])}\n")
    sys.stdout.write(f"robots.txt {facts_line(status['robots'])}\n")
    for parked in status["parked"]:
        often = f"{parked['times']} times in a row" if parked["times"] > 1 else "once"
        until = clock_text(parked["until_ms"])
        sys.stdout.write(f"parked     {parked['host']}: {parked['reason']}, {often}, until {until}\n")
    if status["samples"]:
        count = len(status["samples"])
        sys.stdout.write(f"samples    {count} of pages that could not be read: {status['samples'][0]}\n")
    if status["funnel"]:
        print_funnel(status["funnel"])
    for release in status["releases"]:
        sys.stdout.write(
            f"release    {release['path']}: {facts_line({k: release[k] for k in ('users', 'items', 'interactions')})}\n"
        )


def print_nodes(status: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    from microlens.cli.nodes import node_lines

    sys.stdout.writelines(f"{line}\n" for line in node_lines(status))


def _links_line(links: Mapping[str, Any]) -> str:
    return f"{links['files']:,} files wait for fresh links: {links['pages']:,} pages are to be read again"


def _refresh_line(refresh: Mapping[str, Any]) -> str:
    if refresh["finished_at"] is not None:
        return f"{refresh['number']}, finished {refresh['finished_at']}"
    return (
        f"{refresh['number']}, open since {refresh['started_at']}: {refresh['left']:,} of the videos last read before "
        f"{refresh['since']} are still to be read; go on with `microlens-build crawl RUN --since {refresh['since']}`"
    )

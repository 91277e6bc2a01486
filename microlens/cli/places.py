"""Where a command's release lies, and its results, where neither is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from microlens.errors import NotReadyError
from microlens.manifest import MANIFEST_NAME
from microlens.runs import find_run

if TYPE_CHECKING:
    from microlens.settings import Settings


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

"""A recipe's models on a release of its run: ranked, unless the leaderboard that is there is of the very same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from microlens import __version__
from microlens.manifest import MANIFEST_NAME
from microlens.store import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from microlens.cli.reporter import Reporter
    from microlens.recipe import BenchmarkPlan
    from microlens.runs import Run


def rank_release(run: Run, name: str, release: Path, reporter: Reporter) -> tuple[list[dict[str, Any]], bool]:
    """Rank the recipe's models on a release: the leaderboard's rows, and False if they were there already."""
    plan, out = run.recipe.benchmark, run.results_folder(name)
    if not plan.models:
        return [], False
    known = _known_rows(out / "leaderboard.json", plan, release)
    if known is not None:
        return known, False
    from benchmark.run import run_benchmark  # torch is two seconds: not where nothing is left to do

    board = run_benchmark(
        release, plan.models, preset=plan.preset, seeds=(plan.seed,), out=out, progress=reporter.training
    )
    return board.rows, True


def _known_rows(path: Path, plan: BenchmarkPlan, release: Path) -> list[dict[str, Any]] | None:
    """The rows of a leaderboard of this plan and release; None for any other, and for one that cannot be read."""
    from benchmark.presets import preset_facts

    asked = {
        "manifest_sha256": sha256_of(release / MANIFEST_NAME),
        "code_version": __version__,
        "settings": {**preset_facts(plan.preset), "seeds": [plan.seed], "changes": {}},
    }
    try:
        board = json.loads(path.read_text(encoding="utf-8"))
        rows: list[dict[str, Any]] = board["rows"]
        is_same = asked == {name: board[name] for name in asked}
        is_same = is_same and board["protocol"]["asked"] == "leave-one-out"
        is_same = is_same and {*plan.models} <= {row["model"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if is_same else None

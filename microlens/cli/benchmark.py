"""`microlens-build benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson

NAME = "benchmark"


def command(
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="A release's folder; the newest of the last run if left out."),
    ] = None,
    *,
    models: Annotated[str, typer.Option(help="Comma-separated.")] = "popularity,sasrec",
    preset: Annotated[str, typer.Option(help="Settings: default, paper or tuned.")] = "default",
    seed: Annotated[int, typer.Option(min=0, help="Draws the models' first weights and the batches.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU if there is one.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where leaderboard.md and .json go; else results/<release>/ beside the run's releases."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train and rank models on a release: leave-one-out, full ranking, HR and NDCG at 10 and 20.

    microlens-build benchmark runs/demo/releases/demo --models popularity,sasrec
    """
    from benchmark.run import run_benchmark
    from microlens.cli.output import Reporter, print_leaderboard
    from microlens.cli.pipeline import newest_release, results_beside
    from microlens.settings import Settings

    reporter = Reporter()
    folder = release or newest_release(Settings())
    results = out or results_beside(folder)
    board = run_benchmark(
        folder,
        [name.strip() for name in models.split(",") if name.strip()],
        preset=preset,
        seed=seed,
        device=device,
        out=results,
        progress=reporter.training,
    )
    reporter.note(f"leaderboard: {results / 'leaderboard.md'}")
    print_leaderboard(board, as_json=as_json)

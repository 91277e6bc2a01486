"""`microlens-build benchmark`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson, Changes, Cuts, Device, ReleasePath, Seeds, SplitRule, Warm, numbers, words

NAME = "benchmark"


def command(
    release: ReleasePath = None,
    *,
    models: Annotated[str, typer.Option(help="Comma-separated; see --list.")] = "popularity,sasrec",
    preset: Annotated[
        str, typer.Option(help="Settings: default, tuned, paper, official, or a .yaml file that tune wrote.")
    ] = "default",
    changes: Changes = None,
    seeds: Seeds = "0",
    split: SplitRule = "leave-one-out",
    cuts: Cuts = None,
    warm: Warm = 0,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where leaderboard, ranks and checkpoints go; else results/<release>/ beside the releases."),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write curves for TensorBoard, if it is installed.")
    ] = None,
    is_listing: Annotated[bool, typer.Option("--list", help="Only name the models, with a sentence on each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train and rank models on a release: leave-one-out, full ranking, HR and NDCG at 10 and 20.

    Stopped or killed, the same command goes on; what is finished is not trained again.

    microlens-build benchmark runs/demo/releases/demo --models popularity,sasrec --seeds 0,1,2
    """
    from microlens.cli.output import print_leaderboard, print_models
    from microlens.cli.places import newest_release, results_beside
    from microlens.cli.reporter import Reporter
    from microlens.settings import Settings

    if is_listing:
        print_models(as_json=as_json)
        return
    from benchmark.parallel import is_first
    from benchmark.presets import read_changes
    from benchmark.protocol import Protocol
    from benchmark.run import run_benchmark
    from benchmark.tensorboard import tensorboard_log

    reporter = Reporter()
    folder = release or newest_release(Settings())
    protocol = Protocol(split, warm, words(cuts))
    results = out or results_beside(folder) / protocol.folder
    heard = reporter.training
    with contextlib.nullcontext(heard) if tensorboard is None else tensorboard_log(tensorboard, heard) as progress:
        board = run_benchmark(
            folder,
            words(models),
            preset=preset,
            seeds=numbers("--seeds", seeds),
            protocol=protocol,
            device=device,
            out=results,
            overrides=read_changes(changes or []),
            progress=progress,
        )
    if is_first():
        reporter.note(f"leaderboard: {results / 'leaderboard.md'}")
        print_leaderboard(board, as_json=as_json)

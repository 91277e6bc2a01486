"""`microlens-build tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson, Cuts, ReleasePath, SplitRule, Warm, words

NAME = "tune"


def command(
    release: ReleasePath = None,
    *,
    models: Annotated[
        str, typer.Option(help="Comma-separated; `microlens-build benchmark --list` names them.")
    ] = "sasrec",
    preset: Annotated[
        str, typer.Option(help="Settings that are not searched: default, tuned, paper, official, or a .yaml file.")
    ] = "default",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting that is not searched; may be given repeatedly."),
    ] = None,
    tries: Annotated[
        list[str] | None,
        typer.Option(
            "--try",
            metavar="NAME=VALUE,VALUE",
            show_default="the paper's grid",
            help="What to search, as learning_rate=1e-4,1e-3; repeated, all combinations.",
        ),
    ] = None,
    configurations: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Configurations to try per model, drawn at random from the grid; all if it has no more.",
        ),
    ] = 30,
    first_epochs: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Epochs before the first comparison; the best third goes on, to be compared at 3x, 9x, ... as many.",
        ),
    ] = 3,
    processes: Annotated[
        int | None,
        typer.Option(
            "-n", "--processes", min=1, show_default="one a core, or a GPU", help="Configurations trained at once."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws configurations, first weights and batches.")] = 0,
    split: SplitRule = "leave-one-out",
    cuts: Cuts = None,
    warm: Warm = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; all GPUs if there are any.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where preset and table go; else results/<release>/tune/."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Search settings on validation, by the paper's grid or your own, and write a preset for `benchmark`.

    Weak configurations are stopped early; the test is not asked. Stopped or killed, the same command goes on, and any
    number of processes comes to the same.

    microlens-build tune runs/demo/releases/demo --models sasrec --try learning_rate=1e-4,1e-3 --try width=64,128
    """
    from benchmark.presets import read_changes
    from benchmark.protocol import Protocol
    from benchmark.tune import tune
    from benchmark.tuning.grid import read_grid
    from benchmark.tuning.result import PRESET
    from microlens.cli.output import print_tuning
    from microlens.cli.places import newest_release, results_beside
    from microlens.cli.reporter import Reporter
    from microlens.settings import Settings

    grid, overrides = read_grid(tries or []), read_changes(changes or [])
    folder, protocol, reporter = release or newest_release(Settings()), Protocol(split, warm, words(cuts)), Reporter()
    results = out or results_beside(folder) / protocol.folder / "tune"
    found = tune(
        folder,
        words(models),
        results,
        preset=preset,
        overrides=overrides,
        grid=grid,
        count=configurations,
        first_epochs=first_epochs,
        seed=seed,
        processes=processes,
        protocol=protocol,
        device=device,
        progress=reporter.tuning,
    )
    reporter.note(f"chosen: {results / PRESET}, for `microlens-build benchmark {folder} --preset {results / PRESET}`")
    print_tuning(found, as_json=as_json)

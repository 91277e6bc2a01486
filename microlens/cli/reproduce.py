"""`microlens-build reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson, Changes, Device, Seeds, numbers, words

NAME = "reproduce"


def command(
    subject: Annotated[
        str,
        typer.Argument(metavar="SUBJECT", help="table2, table8, table11 or figure6 of the MicroLens paper."),
    ],
    release: Annotated[Path, typer.Argument(metavar="RELEASE", help="A release's folder.")],
    *,
    preset: Annotated[
        str, typer.Option(help="Settings: paper wants a GPU, default does not; or a .yaml file that tune wrote.")
    ] = "paper",
    changes: Changes = None,
    seeds: Seeds = "0,1,2",
    models: Annotated[
        str | None,
        typer.Option(show_default="all", help="Only these rows, comma-separated; of a figure, what is compared."),
    ] = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where results and report go; else results/<release>/<subject>/."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the rows of a table or figure of the paper that exist here, and write a report beside the paper's numbers.

    Stopped or killed, the same command goes on. Rows that cannot be run are told, with the command that makes them; one
    that fails is told, too, and the command ends with its error once the report is written.

    microlens-build reproduce table2 runs/demo/releases/demo --preset default --seeds 0,1,2
    """
    from benchmark.parallel import is_first
    from benchmark.presets import read_changes
    from benchmark.reproduce import reproduce
    from microlens.cli.output import print_json
    from microlens.cli.places import results_beside
    from microlens.cli.reporter import Reporter

    reporter = Reporter()
    done = reproduce(
        subject,
        release,
        out or results_beside(release) / subject,
        preset=preset,
        seeds=numbers("--seeds", seeds),
        models=words(models),
        device=device,
        overrides=read_changes(changes or []),
        progress=reporter.training,
    )
    if not is_first():
        return
    written = [str(path) for path in done.written]
    if as_json:
        print_json({"written": written, "not_run": done.not_run})
    else:
        for name, why in done.not_run.items():
            reporter.note(f"not run: {name}: {why}")
        sys.stdout.writelines(f"{path}\n" for path in written)
    done.raise_failed()

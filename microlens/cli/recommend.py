"""`microlens-build recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import Device, numbers

NAME = "recommend"


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A finished one: results/<release>/models/<model>-<seed>-*.pt.")
    ],
    *,
    users: Annotated[str | None, typer.Option(help="Ids of the release, as 1,5,17; all if left out.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Items per list.")] = 10,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A .parquet or .csv; else CSV on standard output.")
    ] = None,
    release: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the checkpoint's release lies, if it was moved.")
    ] = None,
    device: Device = None,
) -> None:
    """Write what a trained model would show each user next: user_id, rank, item_id, score; nothing that they have met.

    microlens-build recommend results/demo/models/sasrec-0-1a2b3c4d.pt --top 20 --out lists.parquet
    """
    from benchmark.recommend import recommend
    from microlens.cli.reporter import Reporter

    reporter = Reporter()
    rows = recommend(
        checkpoint,
        users=None if users is None else numbers("--users", users),
        top=top,
        out=out,
        release=release,
        device=device,
        progress=lambda done, asked: reporter.tick("recommend", lambda: {"done": done, "left": asked - done}),
    )
    reporter.done("recommend", {"rows": rows, "file": out or "standard output"})

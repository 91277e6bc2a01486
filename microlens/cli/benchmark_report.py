"""`microlens-build benchmark report`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from microlens.cli.options import AsJson, words

NAME = "report"


def command(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT", help="Results folders of one release, or their leaderboard.json."),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where report.md, .html and .tex go; else into the first result's folder."),
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            show_default="those with a row of ours", help="Of the paper: 2, 8, 9, 10, 11, separated by commas."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put results beside the paper's tables and the floors, as Markdown, HTML with plots, and LaTeX.

    microlens-build benchmark report results/demo results/demo/leave-one-out-warm-20 --out reports/demo
    """
    from benchmark.read_results import read_result
    from benchmark.reports.sections import make_report
    from benchmark.reports.write import write_report
    from microlens.cli.output import print_json

    found = [read_result(path) for path in results]
    written = [str(path) for path in write_report(make_report(found, words(tables) or None), out or found[0].folder)]
    if as_json:
        print_json({"written": written})
    else:
        sys.stdout.writelines(f"{path}\n" for path in written)

"""`microlens-build benchmark`: to train and rank, and what is done with the results."""

from __future__ import annotations

import typer

from microlens.cli import benchmark, benchmark_compare, benchmark_report
from microlens.cli.default_command import RunByDefault

NAME = benchmark.NAME

app = typer.Typer(cls=RunByDefault, help="Train and rank models on a release; compare and report results.")
app.command(RunByDefault.default)(benchmark.command)
for command in (benchmark_compare, benchmark_report):
    app.command(command.NAME)(command.command)

"""Options that several commands share, each spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
RunName = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run's name or folder; the one used last if left out.")
]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: see deploy/recipes/.")]
Processes = Annotated[int, typer.Option("-n", "--processes", min=1, max=256, help="Download processes.")]
